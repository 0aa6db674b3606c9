use super::*;

fn net(sizes: &[usize]) -> Result<Network, NetworkError> {
    Network::zeros(sizes, Activation::Sigmoid, Activation::Identity)
}

#[test]
fn impossible_shapes_are_errors() {
    assert_eq!(net(&[]).unwrap_err(), NetworkError::TooFewSizes(0));
    assert_eq!(net(&[3]).unwrap_err(), NetworkError::TooFewSizes(1));
    let empty = NetworkError::EmptyLayer { position: 1 };
    assert_eq!(net(&[3, 0, 2]).unwrap_err(), empty);
    for sizes in [[usize::MAX, usize::MAX], [1 << 40, 10], [1 << 16, 1 << 16]] {
        assert!(matches!(net(&sizes), Err(NetworkError::TooLarge(_))));
    }
}

#[test]
fn the_identity_ignores_padding_and_kinds_of_zero_and_nan() {
    let mut a = net(&[3, 2]).unwrap();
    // Reference value: sha256 of 8 little-endian f32 computed with Python's hashlib.
    let w = [1.0, -2.0, 0.5, 0.0, 3.0, 4.0];
    a.set_layer(0, &w, &[0.25, -1.0]).unwrap();
    assert_eq!(
        a.weights_sha256(),
        "406bc0e39a46110a925c3c48854650f6e5422f19a2ccdeb82e8e4d7a7b1e961c"
    );
    let mut b = a.clone();
    b.set_layer(0, &[1.0, -2.0, 0.5, -0.0, 3.0, 4.0], &[0.25, -1.0])
        .unwrap();
    assert_eq!(a.weights_sha256(), b.weights_sha256());
    let nan = |bits| [f32::from_bits(bits), 0.0, 0.0, 0.0, 0.0, 0.0];
    a.set_layer(0, &nan(0x7FC0_0000), &[0.0; 2]).unwrap();
    b.set_layer(0, &nan(0xFFC0_1234), &[0.0; 2]).unwrap();
    assert_eq!(a.weights_sha256(), b.weights_sha256());
    assert!(!a.is_finite());
}

#[test]
fn one_layers_numbers_do_not_depend_on_anothers() {
    let mut a = net(&[5, 4, 3]).unwrap();
    let mut b = net(&[9, 4, 3]).unwrap();
    for n in [&mut a, &mut b] {
        n.initialize(Initializer::LECUN_NORMAL, Initializer::Normal(1.0), 7)
            .unwrap();
    }
    assert_eq!(a.dense_weights(1), b.dense_weights(1));
    assert_eq!(a.dense_biases(0), b.dense_biases(0));
    assert!(
        a.weights(0).row(2)[4..].iter().all(|&v| v == 0.0),
        "padding"
    );
    let wrong = a.set_layer(1, &[0.0; 11], &[0.0; 3]).unwrap_err();
    assert_eq!(wrong.to_string(), "layer 1: expected 12 weights, found 11");
    assert!(matches!(
        a.set_layer(2, &[], &[]),
        Err(NetworkError::NoLayer {
            layer: 2,
            layers: 2
        })
    ));
}
