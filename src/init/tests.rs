//! Tests of the initializers.

use super::*;
use crate::random::Purpose;
use fanin_kernels::Activation;

#[test]
fn names_round_trip() {
    for text in [
        "zeros",
        "constant:-0.5",
        "normal:0.01",
        "uniform:0.1",
        "truncated_normal:0.02",
        "lecun_normal",
        "lecun_uniform:2",
        "glorot_normal",
        "glorot_uniform:1.5",
        "he_normal",
        "he_uniform:1",
        "lecun_truncated_normal",
        "glorot_truncated_normal:0.5",
        "he_truncated_normal",
        "orthogonal",
        "orthogonal:1.5",
        "identity",
        "identity:0.5",
        "sparse:15",
        "sparse:15:0.25",
        "sparse_out:1",
        "sparse_out:3:0",
        "lsuv",
        "lsuv:0.01",
        "lsuv:0.1:3",
        "pretrained",
        "pretrained:untied",
        "pretrained:untied,noise=0.25,steps=4000/1000/0,lr=0.1/0.5,std=0.1",
    ] {
        assert_eq!(text.parse::<Initializer>().unwrap().to_string(), text);
    }
    for (alias, name) in [
        ("xavier_normal", "glorot_normal"),
        ("xavier_uniform:2", "glorot_uniform:2"),
        ("kaiming_normal", "he_normal"),
        ("kaiming_uniform", "he_uniform"),
        ("xavier_truncated_normal", "glorot_truncated_normal"),
        ("kaiming_truncated_normal:2", "he_truncated_normal:2"),
        ("normal", "normal:1"),
        ("orthogonal:1", "orthogonal"),
        ("identity:1.0", "identity"),
        ("sparse:4:1", "sparse:4"),
        ("lsuv:0.1:10", "lsuv"),
        ("lsuv:0.2:10", "lsuv:0.2"),
        ("pretrained:std=0.01,steps=500", "pretrained"),
        (
            "pretrained:lr=1/2/2,steps=3/3,untied",
            "pretrained:untied,steps=3,lr=1/2",
        ),
    ] {
        assert_eq!(alias.parse::<Initializer>().unwrap().to_string(), name);
    }
    assert_eq!("he_normal".parse(), Ok(Initializer::HE_NORMAL));
}

#[test]
fn nonsense_is_an_error() {
    for text in [
        "",
        ":",
        "he",
        "normal:",
        "normal:x",
        "normal:-1",
        "normal:nan",
        "normal:inf",
        "constant",
        "constant:",
        "constant:NaN",
        "zeros:1",
        "uniform:-0.1",
        "he_normal:-2",
        "normal:1:2",
        "Normal",
        "he_",
        "_normal",
        "he_truncated",
        "lecun_truncated_normal:-1",
        "orthogonal:",
        "orthogonal:-1",
        "orthogonal:inf",
        "identity:x",
        "identity:-1",
        "sparse",
        "sparse:",
        "sparse:0",
        "sparse:-1",
        "sparse:1.5",
        "sparse:4294967296",
        "sparse:3:",
        "sparse:3:-1",
        "sparse:3:nan",
        "sparse:3:1:1",
        "sparse_out",
        "sparse_out:0:1",
        "lsuv:",
        "lsuv:0",
        "lsuv:-0.1",
        "lsuv:nan",
        "lsuv:inf",
        "lsuv:0.1:0",
        "lsuv:0.1:",
        "lsuv:0.1:1.5",
        "lsuv:0.1:3:3",
        "pretrained:",
        "pretrained:tied",
        "pretrained:untied=1",
        "pretrained:untied,",
        "pretrained:untied,untied",
        "pretrained:noise=1",
        "pretrained:noise=-0.1",
        "pretrained:noise=nan",
        "pretrained:noise",
        "pretrained:steps=",
        "pretrained:steps=-1",
        "pretrained:steps=1/",
        "pretrained:steps=1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1",
        "pretrained:steps=4294967296",
        "pretrained:lr=inf",
        "pretrained:lr=0.1/x",
        "pretrained:std=-1",
        "pretrained:lr=1:std=1",
    ] {
        assert!(text.parse::<Initializer>().is_err(), "{text:?}");
    }
    let error = |text: &str| text.parse::<Initializer>().unwrap_err().to_string();
    assert_eq!(
        error("sparse:0"),
        "initializer 'sparse:0': expected :K or :K:STD, K a whole number ≥ 1 and STD a \
         finite number ≥ 0, as in sparse:15"
    );
    assert_eq!(
        error("pretrained:noise=1,untied"),
        "initializer 'pretrained:noise=1,untied': noise must be a number from 0 up to, but \
         not including, 1"
    );
    assert!(error("orthogonl").contains("orthogonal[:GAIN]"));
}

/// Mean, variance, excess kurtosis and largest magnitude of 400,000 weights.
fn moments(text: &str, fan_in: usize, fan_out: usize) -> [f64; 4] {
    let mut out = vec![0.0; 400_000];
    let mut stream = Stream::new(5, Purpose::Weights, 0);
    let init: Initializer = text.parse().unwrap();
    init.fill(&mut stream, fan_in, fan_out, &mut out);
    let n = out.len() as f64;
    let mean = out.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let power = |p| {
        out.iter()
            .map(|&x| (f64::from(x) - mean).powi(p))
            .sum::<f64>()
            / n
    };
    let largest = out.iter().fold(0f32, |m, x| m.max(x.abs()));
    let variance = power(2);
    [
        mean,
        variance,
        power(4) / (variance * variance) - 3.0,
        f64::from(largest),
    ]
}

#[test]
fn every_distribution_has_its_moments() {
    // Formulas from the papers: (text, fans, variance, excess kurtosis, bound).
    let (k_normal, k_uniform) = (0.0, -1.2);
    let k_truncated = -0.634; // of a normal cut at ±2σ
    let cases = [
        ("normal:0.5", 10, 20, 0.25, k_normal, f64::INFINITY),
        ("uniform:0.3", 10, 20, 0.03, k_uniform, 0.3),
        (
            "truncated_normal:0.1",
            10,
            20,
            0.01 * 0.773_741,
            k_truncated,
            0.2,
        ),
        ("lecun_normal", 100, 50, 0.01, k_normal, f64::INFINITY),
        ("lecun_uniform", 100, 50, 0.01, k_uniform, 0.03f64.sqrt()),
        (
            "glorot_normal",
            100,
            50,
            2.0 / 150.0,
            k_normal,
            f64::INFINITY,
        ),
        ("glorot_uniform", 100, 50, 2.0 / 150.0, k_uniform, 0.2),
        ("he_normal", 100, 50, 0.02, k_normal, f64::INFINITY),
        ("he_uniform", 100, 50, 0.02, k_uniform, 0.06f64.sqrt()),
        ("he_normal:1", 100, 50, 0.01, k_normal, f64::INFINITY),
        // Cut at 2σ, where σ is the standard deviation before the cut.
        (
            "lecun_truncated_normal",
            100,
            50,
            0.01,
            k_truncated,
            0.2 / 0.879_625_66,
        ),
        (
            "glorot_truncated_normal:3",
            100,
            50,
            18.0 / 150.0,
            k_truncated,
            2.0 * 0.12f64.sqrt() / 0.879_625_66,
        ),
        (
            "he_truncated_normal",
            100,
            50,
            0.02,
            k_truncated,
            2.0 * 0.02f64.sqrt() / 0.879_625_66,
        ),
    ];
    for (text, fan_in, fan_out, variance, kurtosis, bound) in cases {
        let [mean, var, kurt, largest] = moments(text, fan_in, fan_out);
        assert!(
            mean.abs() < 5.0 * (variance / 4e5f64).sqrt(),
            "{text}: mean {mean}"
        );
        assert!(
            (var / variance - 1.0).abs() < 0.01,
            "{text}: variance {var}"
        );
        assert!((kurt - kurtosis).abs() < 0.04, "{text}: kurtosis {kurt}");
        assert!(
            largest <= bound * (1.0 + 1e-6),
            "{text}: {largest} > {bound}"
        );
        assert!(
            bound.is_infinite() || largest > bound * 0.999,
            "{text}: {largest}"
        );
    }
}

#[test]
fn constants() {
    let mut out = [1.0; 3];
    let mut stream = Stream::new(5, Purpose::Weights, 0);
    Initializer::Zeros.fill(&mut stream, 1, 1, &mut out);
    assert_eq!(out, [0.0; 3]);
    Initializer::Constant(0.25).fill(&mut stream, 1, 1, &mut out);
    assert_eq!(out, [0.25; 3]);
}

#[test]
fn gains_are_the_customary_ones() {
    // As torch.nn.init.calculate_gain prints them, rounded to f32.
    for (activation, expected) in [
        ("identity", 1.0),
        ("sigmoid", 1.0),
        ("tanh", 1.666_666_6),
        ("relu", std::f32::consts::SQRT_2),
        ("leaky_relu:0.01", 1.414_142_8),
        ("leaky_relu:0.2", 1.386_750_5),
        ("leaky_relu:1", 1.0),
        ("selu", 0.75),
        ("elu", 1.0),
        ("gelu", 1.0),
        ("softplus", 1.0),
        ("swish", 1.0),
    ] {
        let activation: Activation = activation.parse().unwrap();
        assert_eq!(gain(activation), expected, "{activation}");
    }
}

#[test]
fn values_by_layer() {
    let steps = PerLayer::new(&[3, 1, 2, 2]).unwrap();
    let found: Vec<i32> = [0, 1, 2, 3, 15, 16, usize::MAX]
        .map(|l| steps.get(l))
        .into();
    assert_eq!(found, [3, 1, 2, 2, 2, 2, 2]);
    assert_eq!(steps.values(), [3, 1, 2]);
    assert_eq!(PerLayer::new(&[5, 5]).unwrap(), PerLayer::all(5));
    let full: Vec<usize> = (0..MAX_VALUES).collect();
    assert_eq!(PerLayer::new(&full).unwrap().get(99), MAX_VALUES - 1);
    assert!(PerLayer::new(&[1; MAX_VALUES + 1]).is_none());
    assert!(PerLayer::<u32>::new(&[]).is_none());
}

proptest::proptest! {
    #[test]
    fn settings_of_pretraining_round_trip(
        tied: bool,
        noise in 0f32..1.0,
        steps in proptest::collection::vec(0u32.., 1..=MAX_VALUES),
        lr in proptest::option::of(proptest::collection::vec(-1e30f32..1e30, 1..=MAX_VALUES)),
        std in 0f32..1e30,
    ) {
        let init = Initializer::Pretrained(Pretraining {
            tied,
            noise,
            steps: PerLayer::new(&steps).unwrap(),
            lr: lr.map(|lr| PerLayer::new(&lr).unwrap()),
            std,
        });
        proptest::prop_assert_eq!(init.to_string().parse(), Ok(init));
    }

    #[test]
    fn no_text_panics(text in "(lsuv|pretrained):[a-z0-9=/,.:-]{0,20}") {
        if let Ok(init) = text.parse::<Initializer>() {
            proptest::prop_assert_eq!(init.to_string().parse(), Ok(init));
        }
    }
}
