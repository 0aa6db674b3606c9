//! What a network is to the outside: its parameters without padding, and their SHA-256.

use super::Network;
use sha2::{Digest, Sha256};

impl Network {
    /// W of layer `l` without padding, row-major \[fan_in, fan_out\].
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn dense_weights(&self, l: usize) -> Vec<f32> {
        let w = self.weights(l);
        let fan_out = self.layers[l].fan_out;
        (0..w.rows())
            .flat_map(|r| &w.row(r)[..fan_out])
            .map(|&v| canonical(v))
            .collect()
    }

    /// b of layer `l` without padding, \[fan_out\].
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn dense_biases(&self, l: usize) -> Vec<f32> {
        let b = &self.biases(l)[..self.layers[l].fan_out];
        b.iter().map(|&v| canonical(v)).collect()
    }

    /// SHA-256 over the parameters in layer order (W row-major without padding, then b,
    /// then γ, β, running mean and running variance where the layer has batch
    /// normalization), little-endian f32, as lowercase hex: the identity of a trained
    /// network.
    ///
    /// Every NaN is taken as the quiet NaN 0x7FC00000 and −0 as +0, for these depend on
    /// the instruction set and on which zero inputs were skipped, and mean nothing.
    pub fn weights_sha256(&self) -> String {
        let mut hash = Sha256::new();
        let mut bytes = [0u8; 4096];
        let mut add = |values: &[f32]| {
            for chunk in values.chunks(1024) {
                for (to, &v) in bytes.chunks_exact_mut(4).zip(chunk) {
                    to.copy_from_slice(&canonical(v).to_le_bytes());
                }
                hash.update(&bytes[..chunk.len() * 4]);
            }
        };
        for l in 0..self.layers().len() {
            // By rows: a copy of W may be more than there is memory for.
            let (w, fan_out) = (self.weights(l), self.layers[l].fan_out);
            (0..w.rows()).for_each(|r| add(&w.row(r)[..fan_out]));
            add(&self.biases(l)[..fan_out]);
            if let Some(norm) = self.norm(l) {
                norm.named().iter().for_each(|(_, values)| add(values));
            }
        }
        format!("{:x}", hash.finalize())
    }
}

/// One representative of all NaNs, and of both zeros.
fn canonical(v: f32) -> f32 {
    if v.is_nan() {
        f32::from_bits(0x7FC0_0000)
    } else if v == 0.0 {
        0.0
    } else {
        v
    }
}
