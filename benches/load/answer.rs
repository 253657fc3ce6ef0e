//! Reads answers of HTTP/1.1 with a Content-Length, and checks each.

/// What an answer must be to count.
#[derive(Debug, Clone)]
pub struct Expected {
    pub status: u16,
    pub body: Body,
}

#[derive(Debug, Clone)]
pub enum Body {
    Exactly(Vec<u8>),
    /// Where the bytes depend on the request: how it begins, how it ends,
    /// and how long it is at least.
    Shape {
        begins: Vec<u8>,
        ends: Vec<u8>,
        at_least: usize,
    },
}

/// One answer, as it comes in.
#[derive(Debug, Default)]
pub struct Incoming {
    head: Vec<u8>,
    body: Option<BodySoFar>,
}

#[derive(Debug)]
struct BodySoFar {
    status: u16,
    length: usize,
    read: usize,
    good: bool,
    last: Vec<u8>,
}

impl Incoming {
    /// Takes bytes; once the answer is whole, whether it was as expected.
    pub fn take(&mut self, mut bytes: &[u8], expected: &Expected) -> Option<bool> {
        if self.body.is_none() {
            let known = self.head.len();
            self.head.extend_from_slice(bytes);
            let from = known.saturating_sub(3);
            let end = from + self.head[from..].windows(4).position(|window| window == b"\r\n\r\n")? + 4;
            bytes = &bytes[end - known..];
            self.body = Some(BodySoFar::after(&self.head[..end]));
        }
        let body = self.body.as_mut()?;
        body.take(bytes, &expected.body);
        if body.read < body.length {
            return None;
        }
        let good = body.status == expected.status && body.is_whole(&expected.body);
        self.head.clear();
        self.body = None;
        Some(good)
    }
}

impl BodySoFar {
    fn after(head: &[u8]) -> Self {
        let status = head.get(9..12).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or_default();
        let length = head.split(|byte| *byte == b'\n').find_map(|line| {
            let value =
                line.get(..16).filter(|name| name.eq_ignore_ascii_case(b"content-length: ")).map(|_| &line[16..])?;
            std::str::from_utf8(value).ok()?.trim().parse().ok()
        });
        // 304 has no body, whatever length it speaks of.
        let length = if status == 304 { 0 } else { length.unwrap_or_default() };
        BodySoFar { status, length, read: 0, good: true, last: Vec::new() }
    }

    fn take(&mut self, bytes: &[u8], expected: &Body) {
        match expected {
            Body::Exactly(all) => self.good &= all.get(self.read..self.read + bytes.len()) == Some(bytes),
            Body::Shape { begins, ends, .. } => {
                if self.read == 0 && !bytes.is_empty() {
                    self.good &= bytes.starts_with(begins);
                }
                self.last.extend_from_slice(&bytes[bytes.len().saturating_sub(ends.len())..]);
            }
        }
        self.read += bytes.len();
    }

    fn is_whole(&self, expected: &Body) -> bool {
        self.good
            && match expected {
                Body::Exactly(all) => self.length == all.len() && self.read == self.length,
                Body::Shape { ends, at_least, .. } => self.read >= *at_least && self.last.ends_with(ends),
            }
    }
}
