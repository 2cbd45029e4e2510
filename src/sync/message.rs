//! What replicas tell one another: a head that says what it is about, and one record of each channel.

use super::SyncError;
use crate::elementwise::{Activation, Dtype, Order};
use crate::options::Options;
use crate::plan::{Monoid, WORD_BYTES};

/// Words of the head: what the message is, and the settings that all replicas must share.
const HEAD_WORDS: usize = 5;
/// Set in the word of the monoid by a replica with a mask.
const MASKED: u32 = 1 << 8;
const MAGIC: u32 = u32::from_le_bytes(*b"WBN1");

/// What all replicas must agree on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Head {
    monoid: u32,
    channels: u32,
    epsilon: f32,
    dtype: u32,
    activation: u32,
    order: u32,
}

impl Head {
    pub(super) fn new(monoid: Monoid, options: &Options) -> Self {
        Self {
            monoid: match monoid {
                Monoid::Moments => 0,
                Monoid::GradSums => 1,
                Monoid::DoubleGradSums => 2,
            },
            channels: options.channels as u32,
            epsilon: options.eps as f32,
            dtype: match options.dtype {
                Dtype::F32 => 0,
                Dtype::F16 => 1,
                Dtype::BF16 => 2,
            },
            activation: match options.activation {
                Activation::None => 0,
                Activation::Relu => 1,
                Activation::LeakyRelu { .. } => 2,
                Activation::Silu => 3,
                Activation::Gelu => 4,
                Activation::GeluTanh => 5,
                Activation::Sigmoid => 6,
                Activation::Tanh => 7,
            },
            order: match options.order {
                Order::Post => 0,
                Order::Pre => 1,
            },
        }
    }

    fn words(self) -> [u32; HEAD_WORDS] {
        let elementwise = self.dtype | self.activation << 8 | self.order << 16;
        [MAGIC, self.monoid, self.channels, self.epsilon.to_bits(), elementwise]
    }

    /// The message of a replica that found `records`, with a mask or without.
    pub(super) fn encode(self, mask: bool, records: &[u32]) -> Vec<u8> {
        let mut words = self.words();
        words[1] |= if mask { MASKED } else { 0 };
        words.iter().chain(records).flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Whether replica `rank` has a mask, and the records in its message, if it agrees with this one.
    pub(super) fn decode(
        self,
        rank: usize,
        message: &[u8],
        monoid: Monoid,
    ) -> Result<(bool, Vec<u32>), SyncError> {
        let (words, rest) = message.as_chunks::<4>();
        let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let malformed = |expected: u64| SyncError::Malformed { rank, actual: message.len() as u64, expected };
        let records = u64::from(self.channels) * monoid.bytes();
        let bytes = HEAD_WORDS as u64 * WORD_BYTES + records;
        let Some((&[magic, kind, channels, epsilon, elementwise], found)) =
            words.split_first_chunk::<HEAD_WORDS>()
        else {
            return Err(malformed(bytes));
        };
        if magic != MAGIC || !rest.is_empty() {
            return Err(malformed(bytes));
        }
        let disagree = |what: &'static str, actual: String, expected: String| {
            Err(SyncError::Disagree { rank, what, actual, expected })
        };
        let name = |names: &[&str], code: u32| {
            names.get(code as usize).map_or_else(|| format!("number {code}"), ToString::to_string)
        };
        let pass = |code| name(&["forward", "backward"], code);
        let dtype_name = |code| name(&["f32", "f16", "bf16"], code);
        let order_name = |code| name(&["post", "pre"], code);
        let activations = ["none", "relu", "leaky_relu", "silu", "gelu", "gelu_tanh", "sigmoid", "tanh"];
        let activation_name = |code| name(&activations, code);
        let found_monoid = kind & !MASKED;
        if found_monoid != self.monoid {
            return disagree("pass", pass(found_monoid), pass(self.monoid));
        }
        if channels != self.channels {
            return disagree("number of channels", channels.to_string(), self.channels.to_string());
        }
        if epsilon != self.epsilon.to_bits() {
            return disagree("eps", f32::from_bits(epsilon).to_string(), self.epsilon.to_string());
        }
        let [dtype, activation, order, _] = elementwise.to_le_bytes().map(u32::from);
        if dtype != self.dtype {
            return disagree("dtype", dtype_name(dtype), dtype_name(self.dtype));
        }
        if activation != self.activation {
            return disagree("activation", activation_name(activation), activation_name(self.activation));
        }
        if order != self.order {
            return disagree("order of the activation", order_name(order), order_name(self.order));
        }
        if found.len() as u64 * WORD_BYTES != records {
            return Err(malformed(bytes));
        }
        Ok((kind & MASKED != 0, found.to_vec()))
    }
}
