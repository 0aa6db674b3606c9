//! Which run is which: an id that depends on what decides the result, and on nothing else.
//!
//! The id of a run is SHA-256 of its *canonical text* ([`canonical`]), as the first 32 of 64
//! lower-case hexadecimal digits: 128 bits, so that among 10¹² runs two ids are equal with a
//! probability below 10⁻¹⁴. The text is JSON (RFC 8259) in UTF-8, on one line, without
//! spaces, the keys in this order:
//!
//! ```text
//! {"activation":"sigmoid","batch":10,"batch_norm":"off","bias_init":"normal:1",
//! "bn_epsilon":null,"bn_eval":null,"bn_layers":null,"bn_momentum":null,"data":"…",
//! "eval_every":1000,"frozen":null,"hold_out":5000,"init":"lecun_normal",
//! "layers":[784,390,156,62,25,10],"loss":"mse","lr":3,"momentum":0,"numerics":1,
//! "output_activation":"sigmoid","seed":1,"steps":20000}
//! ```
//!
//! - Texts are what `fanin train --json` writes: canonical names, arguments left out where
//!   they are the default. `bn_*` are null where `batch_norm` is `off`.
//! - A number is the shortest decimal that reads back as the same `f32`, without an exponent
//!   and without a point if it is whole: `0.1`, `3`, `0.00001`. −0 is `0`.
//! - `data` is the identity of the data set, `numerics` is [`NUMERICS_VERSION`].
//! - `threads` and `input_path` decide nothing and are not there; nor is what a spec only
//!   says about runs: its name, its [rules to stop](crate::sweep::StopRule).
//!
//! Whoever changes this text changes every id, and with it whether stored runs are found
//! again: a new key of the configuration must be left out where it has its default.

use crate::TrainConfig;
use crate::data::Dataset;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// The version of the arithmetic: raised whenever a hash in `tests/golden.rs` changes, that
/// is when the same configuration gives other parameters than before. Results of different
/// versions are results of different runs.
pub const NUMERICS_VERSION: u32 = 1;

/// Hexadecimal digits of an id.
const DIGITS: usize = 32;

/// The id of a run: 32 hexadecimal digits.
///
/// `data` is what [`data_identity`] gives, or any text that is another one for other samples;
/// `hold_out` is the number of the first training images that are left out.
pub fn run_id(config: &TrainConfig, data: &str, hold_out: usize) -> String {
    let mut id = hex(&Sha256::digest(canonical(config, data, hold_out)));
    id.truncate(DIGITS);
    id
}

/// What is hashed for [`run_id`]. The [module](self) describes it.
pub fn canonical(config: &TrainConfig, data: &str, hold_out: usize) -> String {
    // Every field must be looked at: a new one does not compile without being thought of.
    let TrainConfig {
        layers,
        init,
        bias_init,
        activation,
        output_activation,
        batch_norm,
        frozen,
        loss,
        lr,
        momentum,
        batch,
        steps,
        eval_every,
        seed,
        threads: _,
        input_path: _,
    } = config;
    let sizes: Vec<String> = layers.iter().map(usize::to_string).collect();
    let norm = batch_norm.as_ref();
    let null = || "null".to_owned();
    // In the order of their keys.
    let fields: [(&str, String); 21] = [
        ("activation", text(activation)),
        ("batch", batch.to_string()),
        (
            "batch_norm",
            norm.map_or_else(|| text(&"off"), |norm| text(&norm.placement)),
        ),
        ("bias_init", text(bias_init)),
        (
            "bn_epsilon",
            norm.map_or_else(null, |norm| number(norm.epsilon)),
        ),
        ("bn_eval", norm.map_or_else(null, |norm| text(&norm.eval))),
        (
            "bn_layers",
            norm.map_or_else(null, |norm| text(&norm.layers)),
        ),
        (
            "bn_momentum",
            norm.map_or_else(null, |norm| number(norm.momentum)),
        ),
        ("data", text(&data)),
        ("eval_every", eval_every.to_string()),
        ("frozen", frozen.as_ref().map_or_else(null, |f| text(f))),
        ("hold_out", hold_out.to_string()),
        ("init", text(init)),
        ("layers", format!("[{}]", sizes.join(","))),
        ("loss", text(loss)),
        ("lr", number(*lr)),
        ("momentum", number(*momentum)),
        ("numerics", NUMERICS_VERSION.to_string()),
        ("output_activation", text(output_activation)),
        ("seed", seed.to_string()),
        ("steps", steps.to_string()),
    ];
    let mut json = String::with_capacity(512);
    for (i, (key, value)) in fields.iter().enumerate() {
        let before = if i == 0 { '{' } else { ',' };
        // Writing to a String cannot fail.
        let _ = write!(json, "{before}\"{key}\":{value}");
    }
    json.push('}');
    json
}

/// The identity of a data set: SHA-256, as 64 hexadecimal digits, of the SHA-256 of its four
/// files (training images, training labels, test images, test labels; uncompressed), each as
/// 64 hexadecimal digits and a line feed.
pub fn data_identity(dataset: &Dataset) -> String {
    let mut hash = Sha256::new();
    for file in &dataset.sha256 {
        hash.update(file);
        hash.update("\n");
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A JSON string.
fn text(value: &dyn std::fmt::Display) -> String {
    // A text can always be written as JSON.
    serde_json::to_string(&value.to_string()).unwrap_or_default()
}

/// As the standard library writes an `f32`: the shortest digits, no exponent.
fn number(value: f32) -> String {
    (value + 0.0).to_string()
}

#[cfg(test)]
mod tests;
