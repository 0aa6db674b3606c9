//! Tests of the initializers that draw a whole matrix.

use super::*;
use crate::Network;
use crate::random::Purpose;
use fanin_kernels::Activation;
use sha2::{Digest, Sha256};

/// W [fan_in, fan_out], row-major. The padding of its rows stays as it was.
fn matrix(text: &str, seed: u64, fan_in: usize, fan_out: usize) -> Vec<f32> {
    let init: Initializer = text.parse().unwrap();
    let mut stream = Stream::new(seed, Purpose::Weights, 0);
    let stride = fan_out + 3;
    let mut padded = vec![7.0; fan_in * stride];
    let w = MatMut::with_strides(&mut padded, fan_in, fan_out, stride, 1);
    init.fill_matrix(&mut stream, w).unwrap();
    let rows = padded.chunks_exact(stride);
    assert!(rows.clone().all(|row| row[fan_out..] == [7.0; 3]));
    rows.flat_map(|row| &row[..fan_out]).copied().collect()
}

#[test]
fn orthogonal_matrices_are_the_q_of_qr() {
    let shapes = [
        (50, 20),
        (20, 50),
        (33, 33),
        (16, 16),
        (17, 16),
        (40, 32),
        (1, 30),
        (30, 3),
        (7, 30),
        (30, 1),
        (1, 1),
        (200, 129),
    ];
    for (fan_in, fan_out) in shapes {
        for (text, g) in [("orthogonal", 1.0), ("orthogonal:1.5", 1.5)] {
            let w = matrix(text, 3, fan_in, fan_out);
            let (vectors, length) = (fan_in.min(fan_out), fan_in.max(fan_out));
            let at = |vector: usize, i: usize| {
                let tall = fan_in >= fan_out;
                let (r, c) = if tall { (i, vector) } else { (vector, i) };
                r * fan_out + c
            };
            let entry = |vector: usize, i: usize| f64::from(w[at(vector, i)]);
            let mut stream = Stream::new(3, Purpose::Weights, 0);
            let normals: Vec<f64> = w.iter().map(|_| stream.normal()).collect();
            for a in 0..vectors {
                for b in 0..=a {
                    let dot: f64 = (0..length).map(|i| entry(a, i) * entry(b, i)).sum();
                    let expected = if a == b { g * g } else { 0.0 };
                    assert!(
                        (dot - expected).abs() < 1e-6 * g * g,
                        "{text} {fan_in}×{fan_out}: vectors {a}, {b}: {dot}"
                    );
                    // R = QᵀA is a triangle with a positive diagonal.
                    let r: f64 = (0..length).map(|i| entry(a, i) * normals[at(b, i)]).sum();
                    assert!(
                        if a == b { r > 1e-3 } else { r.abs() < 1e-5 },
                        "{text} {fan_in}×{fan_out}: R[{a}, {b}] = {r}"
                    );
                }
            }
        }
    }
}

#[test]
fn golden_orthogonal_and_sparse_matrices() {
    // Part of the numerics contract: these may never change. Computed by a separate
    // implementation in Python: the stream's normals as in the tests of `random`, then
    // for `orthogonal` numpy.linalg.qr (LAPACK) of the normals as a row-major [fan_in,
    // fan_out] matrix, transposed if it is wide, Q·sign(diag R), rounded to f32; for
    // `sparse` the selection sampling, unit by unit.
    let bits = |text, fan_in, fan_out| {
        let w = matrix(text, 1, fan_in, fan_out);
        w.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(
        bits("orthogonal", 5, 3),
        [
            0xBE67_767E,
            0x3EFC_B555,
            0xBF2D_BDCC,
            0xBE2B_3330,
            0x3C07_95E6,
            0xBEDC_71AE,
            0xBE1A_CCE1,
            0x3EA6_44BA,
            0xBDD5_DFAB,
            0xBF6A_B5BD,
            0xBEBA_D9D7,
            0x3DE6_CD19,
            0x3E75_93E9,
            0xBF38_3108,
            0xBF13_2727,
        ]
    );
    assert_eq!(
        bits("orthogonal:2", 3, 5),
        [
            0xBF06_F3C7,
            0x3F9A_00AC,
            0xBFBA_718E,
            0xBEC7_A210,
            0x3CF0_8326,
            0xBF5C_CDD6,
            0xBC8E_54A9,
            0x3EA5_38B7,
            0xBE67_01BB,
            0xBFE1_64E3,
            0x3E41_E6EC,
            0x3F0C_8E13,
            0x3F58_283F,
            0xBFD9_06C7,
            0x3E8C_2DBF,
        ]
    );
    // SHA-256 of little-endian f32 of the same, more columns than are worked on at a time.
    let sha256 = |fan_in, fan_out| {
        let w = matrix("orthogonal", 1, fan_in, fan_out);
        let bytes: Vec<u8> = w.iter().flat_map(|x| x.to_le_bytes()).collect();
        format!("{:x}", Sha256::digest(bytes))
    };
    assert_eq!(
        sha256(40, 35),
        "53218858c77dd3b70796c272f68db1dc1ef47378b9d41170a149bf3a07f6f307"
    );
    assert_eq!(
        sha256(35, 40),
        "2303f93072fec55ce00e0ec786a2abadad0cd34018a628c7a13304f78973c514"
    );
    assert_eq!(
        bits("sparse:2:0.5", 4, 3),
        [
            0x3EA6_EF18,
            0xBD92_63A8,
            0xBEC1_54B3,
            0,
            0x3AFD_27B5,
            0,
            0xBE9A_2E0D,
            0,
            0,
            0,
            0,
            0xBF17_D7D7,
        ]
    );
    assert_eq!(
        bits("sparse_out:2:0.5", 3, 4),
        [
            0x3EA6_EF18,
            0,
            0xBE9A_2E0D,
            0,
            0xBD92_63A8,
            0x3AFD_27B5,
            0,
            0,
            0xBEC1_54B3,
            0,
            0,
            0xBF17_D7D7,
        ]
    );
}

#[test]
fn orthogonal_bits_do_not_depend_on_the_panel() {
    fn bits<const P: usize>(fan_in: usize, fan_out: usize) -> Vec<u32> {
        let mut w = vec![7.0; fan_in * fan_out];
        let mut stream = Stream::new(9, Purpose::Weights, 0);
        let view = MatMut::new(&mut w, fan_in, fan_out);
        orthogonal::by_panels::<P>(&mut stream, 1.0, view).unwrap();
        w.iter().map(|x| x.to_bits()).collect()
    }
    for (fan_in, fan_out) in [(60, 37), (20, 33), (16, 16), (5, 3), (1, 1)] {
        let expected = bits::<1>(fan_in, fan_out);
        for other in [bits::<3>, bits::<4>, bits::<16>, bits::<64>] {
            assert_eq!(other(fan_in, fan_out), expected, "{fan_in}×{fan_out}");
        }
    }
}

#[test]
fn every_orthogonal_matrix_is_equally_likely() {
    // Moments of the Haar measure: of a column in R⁴, E[q] = 0, E[q²] = 1/4 and
    // E[q⁴] = 3/(4·6); of two entries E[q·r] = 0; every pattern of signs as likely.
    for (fan_in, fan_out) in [(4, 3), (3, 4), (4, 4)] {
        let draws = 4000;
        let n = fan_in * fan_out;
        let mut powers = vec![[0.0; 4]; n];
        let mut products = vec![0.0; n * n];
        for seed in 0..draws {
            let w = matrix("orthogonal", seed, fan_in, fan_out);
            for (i, &x) in w.iter().enumerate() {
                let q = f64::from(x);
                for (sum, value) in powers[i].iter_mut().zip([q, q * q, q.powi(4), q.signum()]) {
                    *sum += value / draws as f64;
                }
                for (j, &y) in w.iter().enumerate() {
                    products[i * n + j] += q * f64::from(y) / draws as f64;
                }
            }
        }
        // Five standard errors: of q 1/2, of q² √(1/16), of q⁴ less than 0.2, of q·r
        // less than 1/3.
        let error = 5.0 / (draws as f64).sqrt();
        for (i, [q, square, fourth, sign]) in powers.into_iter().enumerate() {
            assert!(q.abs() < 0.5 * error, "entry {i}: mean {q}");
            assert!((square - 0.25).abs() < 0.25 * error, "entry {i}: {square}");
            assert!((fourth - 0.125).abs() < 0.2 * error, "entry {i}: {fourth}");
            assert!(sign.abs() < error, "entry {i}: sign {sign}");
            for j in 0..i {
                let product = products[i * n + j];
                assert!(
                    product.abs() < error / 3.0,
                    "entries {i}, {j}: E = {product}"
                );
            }
        }
    }
}

#[test]
fn sparse_units_have_exactly_k_connections() {
    let nonzeros = |values: &mut dyn Iterator<Item = f32>| values.filter(|&x| x != 0.0).count();
    for (fan_in, fan_out) in [(30, 20), (20, 30), (15, 15), (3, 40), (40, 3), (1, 5)] {
        for k in [1, 3, 15] {
            let w = matrix(&format!("sparse:{k}"), 2, fan_in, fan_out);
            for c in 0..fan_out {
                let column = &mut w.iter().skip(c).step_by(fan_out).copied();
                assert_eq!(nonzeros(column), k.min(fan_in), "{fan_in}×{fan_out}, {k}");
            }
            let w = matrix(&format!("sparse_out:{k}:0.1"), 2, fan_in, fan_out);
            for row in w.chunks_exact(fan_out) {
                let row = &mut row.iter().copied();
                assert_eq!(nonzeros(row), k.min(fan_out), "{fan_in}×{fan_out}, {k}");
            }
        }
    }
}

#[test]
fn sparse_connections_are_uniform_and_normal() {
    let (n, k, units) = (20, 5, 8000);
    for (text, incoming) in [("sparse:5:0.5", true), ("sparse_out:5:0.5", false)] {
        let (fan_in, fan_out) = if incoming { (n, units) } else { (units, n) };
        let w = matrix(text, 4, fan_in, fan_out);
        let chosen = |unit: usize, i: usize| {
            let at = if incoming {
                i * units + unit
            } else {
                unit * n + i
            };
            w[at] != 0.0
        };
        // Each place with probability p = K/n: χ² with n − 1 degrees of freedom, which is
        // beyond 50 or below 4 once in 10,000 times.
        let p = k as f64 / n as f64;
        let counts = (0..n).map(|i| (0..units).filter(|&u| chosen(u, i)).count() as f64);
        let variance = units as f64 * p * (1.0 - p) * n as f64 / (n - 1) as f64;
        let chi_square: f64 = counts
            .map(|count| (count - units as f64 * p).powi(2) / variance)
            .sum();
        assert!((4.0..50.0).contains(&chi_square), "{text}: χ² {chi_square}");
        // Each pair of places with probability K(K − 1)/(n(n − 1)), to five standard errors.
        let pair = (k * (k - 1)) as f64 / (n * (n - 1)) as f64;
        let bound = 5.0 * (units as f64 * pair * (1.0 - pair)).sqrt();
        for i in 0..n {
            for j in 0..i {
                let both = (0..units).filter(|&u| chosen(u, i) && chosen(u, j)).count();
                let off = both as f64 - units as f64 * pair;
                assert!(off.abs() < bound, "{text}: pair {i}, {j}: {off}");
            }
        }
        let total = (units * k) as f64;
        let moment = |power| w.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / total;
        let (mean, variance, fourth) = (moment(1), moment(2), moment(4));
        assert!(mean.abs() < 5.0 * 0.5 / total.sqrt(), "{text}: mean {mean}");
        let error = 5.0 * (2.0 / total).sqrt();
        assert!((variance / 0.25 - 1.0).abs() < error, "{text}: {variance}");
        let error = 5.0 * (96.0 / total).sqrt();
        assert!((fourth / 0.0625 - 3.0).abs() < error, "{text}: {fourth}");
    }
}

#[test]
fn identity_is_exact() {
    assert_eq!(matrix("identity", 1, 2, 3), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    let tall = [0.5, 0.0, 0.0, 0.5, 0.0, 0.0];
    assert_eq!(matrix("identity:0.5", 1, 3, 2), tall);
}

#[test]
fn vectors_are_matrices_of_one_row() {
    let vector = |text: &str| {
        let mut out = vec![7.0; 40];
        let mut stream = Stream::new(6, Purpose::Biases, 0);
        let init: Initializer = text.parse().unwrap();
        init.fill(&mut stream, 100, 40, &mut out);
        // None at all is none.
        init.fill(&mut stream, 100, 0, &mut []);
        out
    };
    let nonzeros = |out: &[f32]| out.iter().filter(|&&x| x != 0.0).count();
    let b = vector("orthogonal:3");
    let norm = b.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    assert!((norm - 3.0).abs() < 1e-6, "{norm}");
    let mut of_matrix = vec![0.0; 40];
    Initializer::Orthogonal { gain: 3.0 }
        .fill_matrix(
            &mut Stream::new(6, Purpose::Biases, 0),
            MatMut::new(&mut of_matrix, 1, 40),
        )
        .unwrap();
    assert!(b.iter().zip(&of_matrix).all(|(x, y)| (x - y).abs() < 1e-6));
    let mut first = vec![0.0; 40];
    first[0] = 0.5;
    assert_eq!(vector("identity:0.5"), first);
    assert_eq!(nonzeros(&vector("sparse:2")), 40);
    assert_eq!(nonzeros(&vector("sparse_out:2")), 2);
}

#[test]
fn matrices_reach_the_network_as_they_are_drawn() {
    let sizes = [6, 5, 9];
    let mut network = Network::zeros(&sizes, Activation::Sigmoid, Activation::Sigmoid).unwrap();
    for text in ["orthogonal", "sparse:2", "sparse_out:2", "identity"] {
        let init = text.parse().unwrap();
        network.initialize(init, init, 8).unwrap();
        assert_eq!(network.dense_weights(0), matrix(text, 8, 6, 5), "{text}");
        let padding = |row: &[f32], n: usize| row[n..].iter().all(|&x| x == 0.0);
        for (l, n) in [(0, 5), (1, 9)] {
            let w = network.weights(l);
            assert!((0..w.rows()).all(|r| padding(w.row(r), n)), "{text}");
            assert!(padding(network.biases(l), n), "{text}");
        }
    }
}

/// Prints how long the largest decompositions take:
/// `cargo test --release --lib init -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn time_of_orthogonal() {
    for (fan_in, fan_out) in [(784, 390), (390, 784), (2000, 2000)] {
        let start = std::time::Instant::now();
        let w = matrix("orthogonal", 1, fan_in, fan_out);
        let seconds = start.elapsed().as_secs_f64();
        println!("{fan_in}×{fan_out}: {seconds:.3} s, W[0, 0] = {}", w[0]);
    }
}
