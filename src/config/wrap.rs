//! Lines of a width that terminals show.

/// Breaks a text between words so that no line is longer than `width` characters (save a single
/// word that is), each line behind `indent` blanks and with a line end.
pub(super) fn wrap(text: &str, indent: usize, width: usize) -> String {
    let mut wrapped = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > width {
            push_line(&mut wrapped, indent, &line);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        push_line(&mut wrapped, indent, &line);
    }
    wrapped
}

fn push_line(wrapped: &mut String, indent: usize, line: &str) {
    wrapped.extend(std::iter::repeat_n(' ', indent));
    wrapped.push_str(line);
    wrapped.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_between_words() {
        assert_eq!(wrap("aa bb  cc", 1, 6), " aa bb\n cc\n");
        assert_eq!(wrap("", 1, 6), "");
    }
}
