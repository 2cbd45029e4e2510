//! What replicas tell one another: a head that says what it is about, and one record of each channel.

use super::SyncError;
use crate::elementwise::{Activation, Dtype, Order};
use crate::options::Options;
use crate::plan::{Monoid, WORD_BYTES};

/// Words of the head: what the message is, and the settings that all replicas must share.
const HEAD_WORDS: usize = 6;
const HEAD_BYTES: usize = HEAD_WORDS * WORD_BYTES as usize;
/// Set in the word of the monoid by a replica with a mask.
const MASKED: u32 = 1 << 8;
const MAGIC: u32 = u32::from_le_bytes(*b"WBN1");

/// What all replicas must agree on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    kind: Monoid,
    monoid: u32,
    channels: u32,
    epsilon: f32,
    dtype: u32,
    activation: u32,
    order: u32,
    /// Of leaky ReLU; 0 of all others.
    negative_slope: f32,
}

impl Head {
    pub(super) fn new(monoid: Monoid, options: &Options) -> Self {
        Self {
            kind: monoid,
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
            negative_slope: match options.activation {
                Activation::LeakyRelu { negative_slope } => negative_slope as f32,
                _ => 0.0,
            },
        }
    }

    fn words(self) -> [u32; HEAD_WORDS] {
        let elementwise = self.dtype | self.activation << 8 | self.order << 16;
        let (epsilon, slope) = (self.epsilon.to_bits(), self.negative_slope.to_bits());
        [MAGIC, self.monoid, self.channels, epsilon, elementwise, slope]
    }

    /// What passes of this head exchange.
    pub(super) fn monoid(self) -> Monoid {
        self.kind
    }

    /// C.
    pub(super) fn channels(self) -> usize {
        self.channels as usize
    }

    /// Bytes of the records of all channels.
    pub(super) fn record_bytes(self) -> usize {
        self.channels as usize * self.kind.bytes() as usize
    }

    /// Appends the section of a replica that found `records`, with a mask or without. The words of a device and
    /// those of a message are little-endian, so records travel as they are.
    pub(super) fn encode(self, mask: bool, records: &[u8], message: &mut Vec<u8>) {
        let mut words = self.words();
        words[1] |= if mask { MASKED } else { 0 };
        message.reserve(HEAD_BYTES + records.len());
        message.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        message.extend_from_slice(records);
    }

    /// Whether replica `rank` has a mask, the records in the first section of `rest`, if it agrees with this one,
    /// and what comes after that section. The message has `actual` bytes, this replica's own `expected`.
    pub(super) fn decode(
        self,
        rank: usize,
        rest: &[u8],
        [actual, expected]: [usize; 2],
    ) -> Result<(bool, &[u8], &[u8]), SyncError> {
        let malformed = || SyncError::Malformed { rank, actual: actual as u64, expected: expected as u64 };
        let (head, rest) = rest.split_first_chunk::<HEAD_BYTES>().ok_or_else(malformed)?;
        let mut words = head.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        let mut word = || words.next().unwrap_or_default();
        let [magic, kind, channels, epsilon, elementwise, slope] = std::array::from_fn(|_| word());
        if magic != MAGIC {
            return Err(malformed());
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
        if slope != self.negative_slope.to_bits() {
            return disagree(
                "negative_slope",
                f32::from_bits(slope).to_string(),
                self.negative_slope.to_string(),
            );
        }
        let (records, rest) = rest.split_at_checked(self.record_bytes()).ok_or_else(malformed)?;
        Ok((kind & MASKED != 0, records, rest))
    }
}
