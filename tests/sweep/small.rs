//! A data set that is learned in milliseconds, and a spec for it.

use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const SIDE: u8 = 4;
const CLASSES: u8 = 4;

/// An IDX file of unsigned bytes.
fn idx(sizes: &[u32], bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    file.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    file.extend(bytes);
    file
}

/// `n` images of 4×4 pixels: class c lights row c, brighter or darker, and some noise.
fn write(folder: &Path, kind: &str, n: u32) {
    let side = u32::from(SIDE);
    let pixels = (0..n).flat_map(|i| {
        (0..SIDE * SIDE).map(move |pixel| {
            let noise = (i * 7 + u32::from(pixel) * 13) % 17 == 0;
            match u32::from(pixel / SIDE) == i % u32::from(CLASSES) {
                true => 255 - (i % 90) as u8,
                false => {
                    if noise {
                        120
                    } else {
                        0
                    }
                }
            }
        })
    });
    let images = idx(&[n, side, side], pixels);
    let labels = idx(&[n], (0..n).map(|i| (i % u32::from(CLASSES)) as u8));
    fs::write(folder.join(format!("{kind}-images-idx3-ubyte")), images).unwrap();
    fs::write(folder.join(format!("{kind}-labels-idx1-ubyte")), labels).unwrap();
}

/// A folder with the data set `data`.
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    write(&data, "train", 200);
    write(&data, "t10k", 60);
    folder
}

/// A spec for it: `grid` below what all runs have in common.
pub fn spec(grid: &str) -> String {
    format!(
        "name = \"small\"\ndata = \"data\"\nhold_out = 0\n[train]\nbatch = 5\nsteps = 60\n\
         eval_every = 20\nlr = 1.0\n{grid}"
    )
}

/// The program in the folder, outside of any scheduler: the tests may be a job themselves.
pub fn program(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
    command.current_dir(folder.path());
    for variable in [
        "FANIN_DATA",
        "SLURM_ARRAY_TASK_ID",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_STEP",
        "SLURM_ARRAY_TASK_COUNT",
        "HQ_TASK_ID",
        "JOB_COMPLETION_INDEX",
    ] {
        command.env_remove(variable);
    }
    command
}
