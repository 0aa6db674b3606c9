//! Networks as safetensors files.
//!
//! Tensors `layers.L.weight` \[in, out\] and `layers.L.bias` \[out\], little-endian f32, L
//! from 0; and `layers.L.norm.{gamma,beta,running_mean,running_variance}` \[units\] (or
//! `layers.L.input_norm.…`) where the layer has batch normalization. The metadata tell the layout, the configuration and the parameters' SHA-256.
//! (PyTorch's `nn.Linear` keeps weights as \[out, in\]: transpose to compare.)

use crate::batch_norm::Placement;
use crate::config::{LayerRange, TrainConfig};
use crate::files;
use crate::network::{Network, NetworkError, Norm};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What a file may have besides the parameters: the header with names and metadata.
const HEADER_LIMIT: u64 = 1 << 20;

/// What a file may have of which only some layers are taken: 1 GiB.
const PARTIAL_LIMIT: u64 = 1 << 30;

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
        /// Twice the parameters' size (for batch normalization) and 1 MiB; or 1 GiB.
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
    /// The file has batch normalization where the network has none, or has it elsewhere.
    #[error(
        "{path}: layer {layer} has batch normalization '{placement}', here it has not: see --batch-norm"
    )]
    Norm {
        /// The file.
        path: PathBuf,
        /// The layer, counted from 1.
        layer: usize,
        /// Where the file has it.
        placement: Placement,
    },
    /// Layers that the network does not have.
    #[error("layers {range} are to be loaded: the network has {layers}")]
    Layers {
        /// What was asked for.
        range: LayerRange,
        /// Layers of the network.
        layers: usize,
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

fn norm_name(l: usize, placement: Placement, part: &str) -> String {
    match placement {
        Placement::PreActivation => format!("layers.{l}.norm.{part}"),
        Placement::Input => format!("layers.{l}.input_norm.{part}"),
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Whether [`save`] will be able to write to `path`, as far as can be told.
///
/// # Errors
/// If no file can be created there, or `path` is a folder.
pub fn check_writable(path: &Path) -> Result<(), CheckpointError> {
    files::check_writable(path).map_err(|source| CheckpointError::Io {
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
        let placement = layer.norm.unwrap_or(Placement::PreActivation);
        for (part, values) in network.norm(l).iter().flat_map(Norm::named) {
            data.push((
                norm_name(l, placement, part),
                vec![values.len()],
                little_endian(values),
            ));
        }
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
    files::write_whole(path, &bytes).map_err(io)
}

/// Sets the network's parameters to those in the file.
///
/// # Errors
/// If the file cannot be read, is damaged, or is of a network of other shapes; then the
/// network is left as it was.
pub fn load(path: &Path, network: &mut Network) -> Result<(), CheckpointError> {
    let limit = 8 * network.parameter_count() as u64 + HEADER_LIMIT;
    let bytes = read(path, limit)?;
    let tensors = Tensors::of(path, &bytes)?;
    let layers = network.layers().len();
    let parameters = tensors.layers(network, 0..layers)?;
    let expected: usize = parameters.iter().map(|l| 2 + l.norm.len()).sum();
    if tensors.all.len() != expected {
        return Err(CheckpointError::Count {
            path: path.into(),
            expected,
            found: tensors.all.len(),
        });
    }
    set(network, parameters, 0)
}

/// Sets the parameters of the layers `range` to those of the same layers in the file,
/// which may be of a network with other layers beyond these.
///
/// # Errors
/// As [`load`], or if the network does not have these layers. The file may have 1 GiB.
pub fn load_layers(
    path: &Path,
    network: &mut Network,
    range: LayerRange,
) -> Result<(), CheckpointError> {
    let layers = network.layers().len();
    if range.last() > layers {
        return Err(CheckpointError::Layers { range, layers });
    }
    let bytes = read(path, PARTIAL_LIMIT)?;
    let parameters = Tensors::of(path, &bytes)?.layers(network, range.indices())?;
    set(network, parameters, range.indices().start)
}

/// The whole file, if it has at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, CheckpointError> {
    let io = |source| CheckpointError::Io {
        path: path.into(),
        source,
    };
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
    Ok(bytes)
}

/// The parameters of one layer, as in the file.
struct LayerValues {
    weights: Vec<f32>,
    biases: Vec<f32>,
    /// γ, β, running mean and variance; or none.
    norm: Vec<Vec<f32>>,
}

/// What a file has.
struct Tensors<'a> {
    path: &'a Path,
    all: SafeTensors<'a>,
}

impl<'a> Tensors<'a> {
    fn of(path: &'a Path, bytes: &'a [u8]) -> Result<Self, CheckpointError> {
        let all = SafeTensors::deserialize(bytes).map_err(|source| CheckpointError::Format {
            path: path.into(),
            source,
        })?;
        Ok(Self { path, all })
    }

    /// The parameters of the layers `range` in the shapes of `network`.
    fn layers(
        &self,
        network: &Network,
        range: Range<usize>,
    ) -> Result<Vec<LayerValues>, CheckpointError> {
        let layer = |l: usize| {
            let layer = &network.layers()[l];
            let norm: Vec<_> = network.norm(l).iter().flat_map(Norm::named).collect();
            for placement in [Placement::PreActivation, Placement::Input] {
                let gamma = norm_name(l, placement, "gamma");
                if layer.norm != Some(placement) && self.all.tensor(&gamma).is_ok() {
                    return Err(CheckpointError::Norm {
                        path: self.path.into(),
                        layer: l + 1,
                        placement,
                    });
                }
            }
            let placement = layer.norm.unwrap_or(Placement::PreActivation);
            let norm = norm
                .iter()
                .map(|(part, values)| self.read(norm_name(l, placement, part), &[values.len()]));
            Ok(LayerValues {
                weights: self.read(weight_name(l), &[layer.fan_in, layer.fan_out])?,
                biases: self.read(bias_name(l), &[layer.fan_out])?,
                norm: norm.collect::<Result<_, _>>()?,
            })
        };
        range.map(layer).collect()
    }

    fn read(&self, name: String, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        let mismatch = |found: String| CheckpointError::Tensor {
            path: self.path.into(),
            name: name.clone(),
            expected: format!("F32 {shape:?}"),
            found,
        };
        let tensor = self.all.tensor(&name);
        let tensor = tensor.map_err(|_| mismatch("none".into()))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
            return Err(mismatch(found));
        }
        let values = tensor.data().chunks_exact(4);
        Ok(values
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect())
    }
}

/// Sets layers from `first` on.
fn set(
    network: &mut Network,
    layers: Vec<LayerValues>,
    first: usize,
) -> Result<(), CheckpointError> {
    for (l, layer) in (first..).zip(&layers) {
        network.set_layer(l, &layer.weights, &layer.biases)?;
        if let [gamma, beta, running_mean, running_variance] = &layer.norm[..] {
            let norm = Norm {
                gamma,
                beta,
                running_mean,
                running_variance,
            };
            network.set_norm(l, norm)?;
        }
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
    fn some_layers_of_another_network() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let saved = network(&[5, 17, 3]);
        save(&path, &saved, &TrainConfig::default()).unwrap();
        let mut to = network(&[5, 17, 9, 4]);
        let fresh = to.clone();
        let range = |text: &str| text.parse::<LayerRange>().unwrap();
        to.set_layer(0, &[0.0; 85], &[0.0; 17]).unwrap();
        load_layers(&path, &mut to, range("1")).unwrap();
        assert_eq!(to.dense_weights(0), saved.dense_weights(0));
        assert_eq!(to.dense_biases(0), saved.dense_biases(0));
        assert_eq!(to.dense_weights(1), fresh.dense_weights(1));
        let before = to.weights_sha256();
        assert!(load_layers(&path, &mut to, range("1..2")).is_err());
        assert!(load_layers(&path, &mut to, range("3")).is_err());
        let error = load_layers(&path, &mut to, range("4")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "layers 4..4 are to be loaded: the network has 3"
        );
        assert_eq!(to.weights_sha256(), before);
    }

    #[test]
    fn batch_normalization_is_saved_and_must_fit() {
        use crate::batch_norm::{BatchNorm, NormLayers, Placement};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let sizes = [5, 17, 3];
        let with = |norm| {
            Network::with_batch_norm(&sizes, Activation::Tanh, Activation::Tanh, Some(norm))
                .unwrap()
        };
        for placement in [Placement::PreActivation, Placement::Input] {
            for layers in [NormLayers::All, NormLayers::Hidden] {
                let norm = BatchNorm {
                    placement,
                    layers,
                    ..BatchNorm::default()
                };
                let mut saved = with(norm);
                let l = usize::from(placement == Placement::Input);
                let units = saved.layers()[l].norm_units();
                let values: Vec<f32> = (0u8..4 * 17).map(f32::from).collect();
                let parts: Vec<&[f32]> = values.chunks(17).map(|c| &c[..units]).collect();
                let numbers = Norm {
                    gamma: parts[0],
                    beta: parts[1],
                    running_mean: parts[2],
                    running_variance: parts[3],
                };
                saved.set_norm(l, numbers).unwrap();
                save(&path, &saved, &TrainConfig::default()).unwrap();
                let mut loaded = with(norm);
                load(&path, &mut loaded).unwrap();
                assert_eq!(loaded.norm(l), Some(numbers));
                assert_eq!(loaded.weights_sha256(), saved.weights_sha256());
                let elsewhere = BatchNorm {
                    placement: match placement {
                        Placement::Input => Placement::PreActivation,
                        Placement::PreActivation => Placement::Input,
                    },
                    ..norm
                };
                assert!(load(&path, &mut with(elsewhere)).is_err());
                let negative = Norm {
                    running_variance: &vec![-1.0; units],
                    ..numbers
                };
                assert!(loaded.set_norm(l, negative).is_err());
                let mut without = network(&sizes);
                let error = load(&path, &mut without).unwrap_err();
                assert!(matches!(error, CheckpointError::Norm { .. }), "{error}");
            }
        }
        save(&path, &network(&sizes), &TrainConfig::default()).unwrap();
        assert!(load(&path, &mut with(BatchNorm::default())).is_err());
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
