//! Networks as safetensors files.
//!
//! Tensors `layers.L.weight` \[in, out\] and `layers.L.bias` \[out\], little-endian f32, L
//! from 0. The metadata tell the layout, the configuration and the parameters' SHA-256.
//! (PyTorch's `nn.Linear` keeps weights as \[out, in\]: transpose to compare.)

use crate::config::TrainConfig;
use crate::network::{Network, NetworkError};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What a file may have besides the parameters: the header with names and metadata.
const HEADER_LIMIT: u64 = 1 << 20;

/// Why a network cannot be saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is much larger than the network.
    #[error("{path}: {found} bytes, expected at most {limit} for this network")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The parameters' size and 1 MiB.
        limit: u64,
    },
    /// The file is no safetensors file.
    #[error("{path}: not a safetensors file: {source}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: safetensors::SafeTensorError,
    },
    /// A tensor is missing or has another shape or type.
    #[error("{path}: tensor '{name}': expected {expected}, found {found}")]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Type and shape that the network needs.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// The file has more layers than the network.
    #[error("{path}: {found} tensors, expected {expected}: is it a network of other --layers?")]
    Count {
        /// The file.
        path: PathBuf,
        /// Tensors of the network.
        expected: usize,
        /// Tensors in the file.
        found: usize,
    },
    /// A shape that does not fit after all.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

fn weight_name(l: usize) -> String {
    format!("layers.{l}.weight")
}

fn bias_name(l: usize) -> String {
    format!("layers.{l}.bias")
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The file that is written first: beside `path`, so that a rename suffices.
fn partial_file(path: &Path) -> PathBuf {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    partial.into()
}

/// Whether [`save`] will be able to write to `path`, as far as can be told.
///
/// # Errors
/// If no file can be created there, or `path` is a folder.
pub fn check_writable(path: &Path) -> Result<(), CheckpointError> {
    let check = || {
        if path.is_dir() {
            return Err(std::io::Error::other("is a folder"));
        }
        let partial = partial_file(path);
        File::create(&partial)?;
        std::fs::remove_file(&partial)
    };
    check().map_err(|source| CheckpointError::Io {
        path: path.into(),
        source,
    })
}

/// Writes the network to `path`, whole or not at all: to a file beside it first, which
/// then takes its place.
///
/// # Errors
/// If the file cannot be written.
pub fn save(path: &Path, network: &Network, config: &TrainConfig) -> Result<(), CheckpointError> {
    let io = |source| CheckpointError::Io {
        path: path.into(),
        source,
    };
    let format = |source| CheckpointError::Format {
        path: path.into(),
        source,
    };
    let mut data = Vec::new();
    for (l, layer) in network.layers().iter().enumerate() {
        let weights = little_endian(&network.dense_weights(l));
        data.push((weight_name(l), vec![layer.fan_in, layer.fan_out], weights));
        let biases = little_endian(&network.dense_biases(l));
        data.push((bias_name(l), vec![layer.fan_out], biases));
    }
    let tensors = data
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(format)?;
    let metadata = HashMap::from([
        ("format".to_string(), "fanin".to_string()),
        (
            "layout".to_string(),
            "layers.L.weight is [in, out]: y = f(x @ weight + bias)".to_string(),
        ),
        (
            "config".to_string(),
            serde_json::to_string(config).unwrap_or_default(),
        ),
        ("weights_sha256".to_string(), network.weights_sha256()),
    ]);
    let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(format)?;
    let partial = partial_file(path);
    let write = || {
        let mut file = File::create(&partial)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    };
    write().map_err(|error| {
        // Nothing can be done about a file that cannot even be removed.
        let _ = std::fs::remove_file(&partial);
        io(error)
    })
}

/// Sets the network's parameters to those in the file.
///
/// # Errors
/// If the file cannot be read, is damaged, or is of a network of other shapes; then the
/// network is left as it was.
pub fn load(path: &Path, network: &mut Network) -> Result<(), CheckpointError> {
    let io = |source| CheckpointError::Io {
        path: path.into(),
        source,
    };
    let limit = 4 * network.parameter_count() as u64 + HEADER_LIMIT;
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(io(std::io::Error::other("not a regular file")));
    }
    // Read one byte more than allowed at most: the file may grow meanwhile.
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit {
        return Err(CheckpointError::TooLarge {
            path: path.into(),
            found: metadata.len(),
            limit,
        });
    }
    let tensors = SafeTensors::deserialize(&bytes).map_err(|source| CheckpointError::Format {
        path: path.into(),
        source,
    })?;
    let read = |name: String, shape: &[usize]| {
        let mismatch = |found: String| CheckpointError::Tensor {
            path: path.into(),
            name: name.clone(),
            expected: format!("F32 {shape:?}"),
            found,
        };
        let tensor = tensors.tensor(&name).map_err(|_| mismatch("none".into()))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            return Err(mismatch(format!(
                "{:?} {:?}",
                tensor.dtype(),
                tensor.shape()
            )));
        }
        let values = tensor.data().chunks_exact(4);
        Ok(values
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect::<Vec<_>>())
    };
    let mut parameters = Vec::new();
    for (l, layer) in network.layers().iter().enumerate() {
        let weights = read(weight_name(l), &[layer.fan_in, layer.fan_out])?;
        parameters.push((weights, read(bias_name(l), &[layer.fan_out])?));
    }
    if tensors.len() != 2 * parameters.len() {
        return Err(CheckpointError::Count {
            path: path.into(),
            expected: 2 * parameters.len(),
            found: tensors.len(),
        });
    }
    for (l, (weights, biases)) in parameters.iter().enumerate() {
        network.set_layer(l, weights, biases)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Initializer};

    fn network(sizes: &[usize]) -> Network {
        let mut network = Network::zeros(sizes, Activation::Tanh, Activation::Identity).unwrap();
        network
            .initialize(Initializer::LECUN_NORMAL, Initializer::Normal(1.0), 3)
            .unwrap();
        network
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let saved = network(&[5, 17, 3]);
        save(&path, &saved, &TrainConfig::default()).unwrap();
        let mut loaded = saved.zeros_like().unwrap();
        load(&path, &mut loaded).unwrap();
        assert_eq!(loaded.weights_sha256(), saved.weights_sha256());
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1, "no partial file is left");
    }

    #[test]
    fn other_networks_and_damaged_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let saved = network(&[5, 17, 3]);
        save(&path, &saved, &TrainConfig::default()).unwrap();
        for sizes in [
            &[5, 17, 4][..],
            &[5, 3],
            &[5, 17],
            &[5, 17, 3, 2],
            &[4, 17, 3],
        ] {
            let mut other = network(sizes);
            let before = other.weights_sha256();
            assert!(load(&path, &mut other).is_err(), "{sizes:?}");
            assert_eq!(other.weights_sha256(), before);
        }
        let bytes = std::fs::read(&path).unwrap();
        let mut target = network(&[5, 17, 3]);
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(load(&path, &mut target).is_err(), "cut at {length}");
        }
        let mut huge = bytes.clone();
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        std::fs::write(&path, &huge).unwrap();
        assert!(load(&path, &mut target).is_err());
        huge.resize(3 << 20, 0);
        std::fs::write(&path, &huge).unwrap();
        let error = load(&path, &mut target).unwrap_err();
        assert!(matches!(error, CheckpointError::TooLarge { .. }), "{error}");
        assert!(load(folder.path(), &mut target).is_err(), "a folder");
        assert!(load(&folder.path().join("none"), &mut target).is_err());
        let unwritable = folder.path().join("none").join("net.safetensors");
        assert!(save(&unwritable, &saved, &TrainConfig::default()).is_err());
        assert!(check_writable(&unwritable).is_err());
        assert!(check_writable(folder.path()).is_err());
        assert!(check_writable(&path).is_ok());
    }
}
