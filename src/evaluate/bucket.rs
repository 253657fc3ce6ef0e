//! The bucket of a percentage rollout: `murmur3_32("{bucketBy}:{text}", seed 0) % 100 + 1`.

/// The bucket, 1 to 100, of a target whose attribute `bucket_by` reads `text`.
#[must_use]
pub fn bucket(bucket_by: &str, text: &str) -> u8 {
    let bytes = bucket_by.bytes().chain([b':']).chain(text.bytes());
    let hash = murmur3_32(bytes);
    u8::try_from(hash % 100 + 1).unwrap_or(100)
}

/// `MurmurHash3`, the 32-bit variant for x86, with seed 0.
fn murmur3_32(bytes: impl Iterator<Item = u8>) -> u32 {
    let mut hash = 0_u32;
    let mut length = 0_u32;
    let mut block = 0_u32;
    for byte in bytes {
        block |= u32::from(byte) << (8 * (length % 4));
        length = length.wrapping_add(1);
        if length.is_multiple_of(4) {
            hash = (hash ^ scramble(block)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
            block = 0;
        }
    }
    // An empty tail scrambles to 0 and changes nothing.
    hash ^= scramble(block);
    hash ^= length;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
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
            assert_eq!(murmur3_32(text.bytes()), hash, "{text}");
        }
    }
}
