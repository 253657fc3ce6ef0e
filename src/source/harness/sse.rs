//! Server-sent events, from bytes as they come: any chunk boundary, any of
//! the three line ends.

/// An event larger than this is no message of Harness.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// One thing that the stream said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The data lines of one event, joined by line feeds.
    Event(String),
    /// A comment or a bare blank line: a sign of life.
    Heartbeat,
}

/// The stream sent an event without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {MAX_EVENT_BYTES} bytes")]
pub struct TooLong;

/// Collects bytes to frames.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    data: Option<String>,
    /// The last byte was a carriage return: a line feed right behind it
    /// belongs to the same line end.
    after_return: bool,
    begun: bool,
}

impl Parser {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// An event without end.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, TooLong> {
        let mut frames = Vec::new();
        let mut rest = bytes;
        if std::mem::take(&mut self.after_return) && rest.first() == Some(&b'\n') {
            rest = rest.get(1..).unwrap_or_default();
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line.extend_from_slice(rest.get(..end).unwrap_or_default());
            let returned = rest.get(end) == Some(&b'\r');
            let mut next = end + 1;
            match rest.get(next) {
                Some(b'\n') if returned => next += 1,
                None if returned => self.after_return = true,
                _ => {}
            }
            rest = rest.get(next..).unwrap_or_default();
            frames.extend(self.line()?);
        }
        self.line.extend_from_slice(rest);
        self.check()?;
        Ok(frames)
    }

    fn check(&self) -> Result<(), TooLong> {
        let held = self.line.len() + self.data.as_ref().map_or(0, String::len);
        if held > MAX_EVENT_BYTES { Err(TooLong) } else { Ok(()) }
    }

    fn line(&mut self) -> Result<Option<Frame>, TooLong> {
        self.check()?;
        let line = std::mem::take(&mut self.line);
        let mut text = String::from_utf8_lossy(&line);
        if !std::mem::replace(&mut self.begun, true)
            && let Some(rest) = text.strip_prefix('\u{feff}')
        {
            text = rest.to_owned().into();
        }
        if text.is_empty() {
            return Ok(Some(self.data.take().map_or(Frame::Heartbeat, Frame::Event)));
        }
        if text.starts_with(':') {
            return Ok(Some(Frame::Heartbeat));
        }
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(parser: &mut Parser, bytes: &[u8]) -> Vec<String> {
        let frames = parser.push(bytes).unwrap().into_iter();
        frames.filter_map(|frame| if let Frame::Event(data) = frame { Some(data) } else { None }).collect()
    }

    #[test]
    fn events_comments_and_line_ends() {
        let mut parser = Parser::default();
        let text = "\u{feff}: hello\n\nevent: *\r\ndata: {\"a\":1}\r\n\r\ndata:x\rdata: y\r\r:\n\ndata\n\n";
        assert_eq!(events(&mut parser, text.as_bytes()), ["{\"a\":1}", "x\ny", ""]);
        assert_eq!(parser.push(b"\n").unwrap(), [Frame::Heartbeat]);
    }

    #[test]
    fn an_event_without_end_is_an_error() {
        let mut parser = Parser::default();
        let kilobyte = [b'x'; 1024];
        assert!((0..2000).any(|_| parser.push(&kilobyte).is_err()));
        let mut parser = Parser::default();
        let line = format!("data: {}\n", "x".repeat(1024));
        assert!((0..2000).any(|_| parser.push(line.as_bytes()).is_err()));
    }

    proptest! {
        #[test]
        fn chunk_boundaries_do_not_matter(
            lines in prop::collection::vec(prop_oneof!["data: [a-z{}é\"]{0,20}", ":[a-z]{0,5}", "event: \\*", ""], 0..30),
            ends in prop::collection::vec(0_usize..3, 30),
            cuts in prop::collection::vec(1_usize..9, 200),
        ) {
            let mut text = String::new();
            for (line, end) in lines.iter().zip(&ends) {
                text.push_str(line);
                text.push_str(["\n", "\r\n", "\r"][*end]);
            }
            // A return at the very end could still be followed by a feed.
            text.push_str("\n\n\n");
            let whole = events(&mut Parser::default(), text.as_bytes());
            let mut parser = Parser::default();
            let (mut pieces, mut rest, mut cuts) = (Vec::new(), text.as_bytes(), cuts.iter().cycle());
            while !rest.is_empty() {
                let cut = (*cuts.next().unwrap()).min(rest.len());
                pieces.extend(events(&mut parser, &rest[..cut]));
                rest = &rest[cut..];
            }
            prop_assert_eq!(pieces, whole);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = Parser::default().push(&bytes);
        }
    }
}
