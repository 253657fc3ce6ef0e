//! The bucket of a percentage rollout: `murmur3_32("{bucketBy}:{text}", seed 0) % 100 + 1`.

/// The bucket, 1 to 100, of a target whose attribute `bucket_by` reads `text`.
#[must_use]
pub fn bucket(bucket_by: &str, text: &str) -> u8 {
    let mut hash = Murmur3::default();
    hash.add(bucket_by.as_bytes());
    hash.add(b":");
    hash.add(text.as_bytes());
    u8::try_from(hash.finish() % 100 + 1).unwrap_or(100)
}

/// `MurmurHash3`, the 32-bit variant for x86, with seed 0, over bytes that come in pieces.
#[derive(Default)]
struct Murmur3 {
    hash: u32,
    length: u32,
    /// What came behind the last whole word, low bytes first.
    rest: u32,
}

impl Murmur3 {
    fn add(&mut self, mut bytes: &[u8]) {
        while !self.length.is_multiple_of(4) {
            let Some((&byte, others)) = bytes.split_first() else { return };
            self.byte(byte);
            bytes = others;
        }
        let (words, rest) = bytes.as_chunks();
        for &word in words {
            self.word(u32::from_le_bytes(word));
            self.length = self.length.wrapping_add(4);
        }
        rest.iter().for_each(|&byte| self.byte(byte));
    }

    fn byte(&mut self, byte: u8) {
        self.rest |= u32::from(byte) << (8 * (self.length % 4));
        self.length = self.length.wrapping_add(1);
        if self.length.is_multiple_of(4) {
            self.word(self.rest);
            self.rest = 0;
        }
    }

    fn word(&mut self, word: u32) {
        self.hash = (self.hash ^ scramble(word)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }

    fn finish(self) -> u32 {
        // An empty rest scrambles to 0 and changes nothing.
        let mut hash = self.hash ^ scramble(self.rest);
        hash ^= self.length;
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        hash ^ (hash >> 16)
    }
}

fn scramble(block: u32) -> u32 {
    block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur3_gives_the_published_vectors() {
        for (text, hash) in [
            ("", 0),
            ("test", 0xba6b_d213),
            ("Hello, world!", 0xc036_3e43),
            ("The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
        ] {
            // In pieces of any size it is the same.
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let mut pieces = Murmur3::default();
                    for piece in [&text[..first], &text[first..second], &text[second..]] {
                        pieces.add(piece.as_bytes());
                    }
                    assert_eq!(pieces.finish(), hash, "{text}");
                }
            }
        }
    }
}
