//! The masking of client frames (RFC 6455, section 5.3).

/// Unmasks octets in place, or masks them, which is the same; `offset` is how many octets of the frame came before them.
pub(super) fn unmask(octets: &mut [u8], mask: [u8; 4], offset: u64) {
    let turn = usize::try_from(offset % 4).unwrap_or_default();
    let mut key = mask;
    key.rotate_left(turn);
    if key == [0; 4] {
        return;
    }
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = octets.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (octet, key) in chunks.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *octet ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::unmask;

    #[test]
    fn pieces_unmask_like_the_whole() {
        let mask = [1, 2, 3, 250];
        let plain: Vec<u8> = (0..100).collect();
        let masked: Vec<u8> = plain.iter().enumerate().map(|(at, octet)| octet ^ mask[at % 4]).collect();
        for cut in 0..masked.len() {
            let mut octets = masked.clone();
            let (left, right) = octets.split_at_mut(cut);
            unmask(left, mask, 0);
            unmask(right, mask, cut as u64);
            assert_eq!(octets, plain, "{cut}");
        }
    }
}
