//! Files that are read back, and bytes that are no file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use half::{bf16, f16};
use proptest::prelude::{any, prop_assert_eq, proptest};
use wgpu_batchnorm_tensors::{Dtype, File, Tensor};

fn example() -> File<'static> {
    let mut file = File::default();
    let mut insert = |name: &str, tensor| file.tensors.insert(name.to_owned(), tensor);
    insert("a.flag", Tensor::new(Dtype::BOOL, vec![3], vec![1, 0, 1]).unwrap());
    insert("b.count", Tensor::from_i64(-7));
    insert("c.weight", Tensor::from_f32(vec![2, 2], &[1.0, f32::NAN, -0.0, f32::MIN_POSITIVE]).unwrap());
    insert("d.empty", Tensor::from_f32(vec![0, 5], &[]).unwrap());
    for (key, value) in [("format", "pt"), ("quote", "\"\\\u{1F600}\n"), ("a", ""), ("b", "2"), ("c", "3")] {
        file.metadata.insert(key.to_owned(), value.to_owned());
    }
    file
}

#[test]
fn what_is_written_is_read_back() {
    let bytes = example().to_bytes();
    let file = File::parse(&bytes).unwrap();
    assert_eq!(file, example());
    assert_eq!(file.to_bytes(), bytes);
    assert_eq!(file.into_owned(), example());
    assert_eq!(File::parse(&File::default().to_bytes()).unwrap(), File::default());
    // The reader of the safetensors crate agrees.
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(theirs.names().len(), 4);
    assert_eq!(theirs.tensor("b.count").unwrap().data(), (-7i64).to_le_bytes());
    let aligned = theirs.tensor("c.weight").unwrap().data().as_ptr() as usize - bytes.as_ptr() as usize;
    assert!(aligned.is_multiple_of(4));
}

#[test]
fn values_are_exact() {
    let halves = [0.5, -65504.0, 6e-8, f32::INFINITY].map(f16::from_f32);
    let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    let tensor = Tensor::new(Dtype::F16, vec![4], bytes.clone()).unwrap();
    assert_eq!(tensor.to_f32().unwrap(), halves.map(f16::to_f32));
    let tensor = Tensor::new(Dtype::BF16, vec![2, 2], bytes).unwrap();
    assert_eq!(tensor.to_f32().unwrap()[0], bf16::from_bits(halves[0].to_bits()).to_f32());
    assert_eq!(tensor.to_f64().unwrap().len(), 4);
    let tensor = Tensor::new(Dtype::F64, vec![1], 0.1f64.to_le_bytes().to_vec()).unwrap();
    assert_eq!((tensor.to_f32(), tensor.to_f64(), tensor.to_i64()), (None, Some(vec![0.1]), None));
    assert_eq!(Tensor::from_i64(i64::MIN).to_i64(), Some(vec![i64::MIN]));
    assert_eq!(Tensor::from_i64(0).to_f64(), None);
}

#[test]
fn wrong_lengths_are_refused() {
    let error = Tensor::from_f32(vec![2, 3], &[0.0; 5]).unwrap_err();
    assert_eq!((error.actual, error.expected), (20, Some(24)));
    assert!(error.to_string().contains("given 20 bytes, expected 24"), "{error}");
    for shape in [vec![usize::MAX, 2], vec![usize::MAX]] {
        assert_eq!(Tensor::from_f32(shape, &[0.0]).unwrap_err().expected, None);
    }
    // Three elements of 4 bits are no whole number of bytes.
    assert_eq!(Tensor::new(Dtype::F4, vec![3], vec![0; 2]).unwrap_err().expected, None);
}

#[test]
fn truncated_and_longer_files_are_damaged() {
    let whole = example().to_bytes();
    for cut in 0..whole.len() {
        assert!(File::parse(&whole[..cut]).is_err(), "{cut}");
    }
    assert!(File::parse(&[whole.as_slice(), &[0]].concat()).is_err());
}

/// Sizes that add up to more than can be addressed.
#[test]
fn a_hostile_header_is_an_error() {
    let half = usize::MAX / 2 + 1;
    let header = format!(
        r#"{{"a":{{"dtype":"U8","shape":[{half}],"data_offsets":[0,{half}]}},
            "b":{{"dtype":"U8","shape":[{half}],"data_offsets":[{half},0]}}}}"#
    );
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    assert!(File::parse(&file).is_err());
    assert!(File::parse(&[u64::MAX.to_le_bytes().as_slice(), b"{}"].concat()).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = File::parse(&bytes);
    }

    #[test]
    fn mutated_files_never_panic(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        let mut bytes = example().to_bytes();
        for (index, value) in changes {
            let index = index % bytes.len();
            bytes[index] = value;
        }
        if let Ok(file) = File::parse(&bytes) {
            let again = file.to_bytes();
            prop_assert_eq!(File::parse(&again), Ok(file));
        }
    }
}
