//! Transports with one fault each: the suite must catch them all, and for the right reason.

use crate::lobby::{Lobby, in_threads};
use libtest_mimic::Trial;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;
use wgpu_batchnorm::{Exchange, ExchangeError, InProcess, Round, Sequence};
use wgpu_batchnorm_exchange_tests::{Failure, Transport, run_messages};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Messages come in the order of their arrival: one's own first.
    OrderOfArrival,
    /// Those of the last two ranks are swapped.
    Swapped,
    /// The last rank's message is lost, and that before it there twice.
    Lost,
    /// There is one message too few.
    TooFew,
    /// A bit is not as it was.
    Bit,
    /// Short ones are filled up to the length of the longest.
    Padded,
    /// Only so many bytes are brought.
    Truncated,
    /// One that was there before comes again.
    Stale,
    /// The replica that waits is named, not the one that is missed.
    Misnamed,
    /// The limit that is told is not the caller's.
    OtherLimit,
    /// To ask has no limit.
    AskedForEver,
    /// After an error it goes on with what it has.
    GoesOn,
    /// Who leaves is missed by the limit only.
    LeavesUnnoticed,
}

/// Each with a test that fails for it.
const FAULTS: [(Fault, &str); 13] = [
    (Fault::OrderOfArrival, "messages_arrive_in_the_order_of_the_ranks"),
    (Fault::Swapped, "messages_arrive_in_the_order_of_the_ranks"),
    (Fault::Lost, "messages_arrive_in_the_order_of_the_ranks"),
    (Fault::TooFew, "messages_arrive_in_the_order_of_the_ranks"),
    (Fault::Bit, "messages_of_any_length"),
    (Fault::Padded, "messages_of_any_length"),
    (Fault::Truncated, "messages_of_any_length"),
    (Fault::Stale, "messages_arrive_in_the_order_of_the_ranks"),
    (Fault::Misnamed, "one_that_does_not_come_is_named"),
    (Fault::OtherLimit, "one_that_does_not_come_is_named"),
    (Fault::AskedForEver, "to_ask_again_and_again_ends"),
    (Fault::GoesOn, "one_that_leaves_is_named"),
    (Fault::LeavesUnnoticed, "one_that_leaves_is_named"),
];

struct Faulty {
    end: InProcess,
    fault: Fault,
    /// What came in the round before.
    before: RefCell<Vec<Vec<u8>>>,
}

impl Faulty {
    fn spoil_error(&self, error: ExchangeError) -> ExchangeError {
        match (self.fault, error) {
            (Fault::Misnamed, ExchangeError::TimedOut { limit, .. }) => {
                ExchangeError::TimedOut { missing: vec![self.end.rank()], limit }
            }
            (Fault::OtherLimit, ExchangeError::TimedOut { missing, limit }) => {
                ExchangeError::TimedOut { missing, limit: 2 * limit }
            }
            (Fault::LeavesUnnoticed, ExchangeError::Left { rank }) => {
                ExchangeError::TimedOut { missing: vec![rank], limit: InProcess::LIMIT }
            }
            (_, error) => error,
        }
    }

    fn spoil(&self, result: Result<Vec<Vec<u8>>, ExchangeError>) -> Result<Vec<Vec<u8>>, ExchangeError> {
        let (own, last) = (self.end.rank(), self.end.replicas() - 1);
        let mut messages = match result {
            Err(_) if self.fault == Fault::GoesOn => return Ok(self.before.borrow().clone()),
            result => result.map_err(|error| self.spoil_error(error))?,
        };
        match self.fault {
            Fault::OrderOfArrival => messages.rotate_left(own),
            Fault::Swapped => messages.swap(last, last - 1),
            Fault::Lost => messages[last] = messages[last - 1].clone(),
            Fault::TooFew => messages.truncate(last),
            Fault::Bit => {
                if let Some(byte) = messages[last].get_mut(65_000) {
                    *byte ^= 1;
                }
            }
            Fault::Padded => {
                let longest = messages.iter().map(Vec::len).max().unwrap_or(0);
                messages.iter_mut().for_each(|message| message.resize(longest, 0));
            }
            Fault::Truncated => messages.iter_mut().for_each(|message| message.truncate(65_536)),
            Fault::Stale => {
                let before = self.before.replace(messages.clone());
                if let Some(message) = before.into_iter().nth(last) {
                    messages[last] = message;
                }
            }
            _ => {}
        }
        if self.fault == Fault::GoesOn {
            self.before.replace(messages.clone());
        }
        Ok(messages)
    }
}

impl Exchange for Faulty {
    fn rank(&self) -> usize {
        self.end.rank()
    }

    fn replicas(&self) -> usize {
        self.end.replicas()
    }

    fn sequence(&self) -> &Sequence {
        self.end.sequence()
    }

    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        self.spoil(self.end.all_gather(message))
    }

    fn start(&self, message: Vec<u8>) -> Result<Box<dyn Round + '_>, ExchangeError> {
        let round = match self.end.start(message) {
            Err(_) if self.fault == Fault::GoesOn => None,
            round => Some(round.map_err(|error| self.spoil_error(error))?),
        };
        Ok(Box::new(FaultyRound { end: self, round }))
    }
}

struct FaultyRound<'a> {
    end: &'a Faulty,
    round: Option<Box<dyn Round + 'a>>,
}

impl Round for FaultyRound<'_> {
    fn is_complete(&mut self) -> Result<bool, ExchangeError> {
        match self.round.as_mut().map_or(Ok(true), |round| round.is_complete()) {
            // What a transport says that does not count how long it is asked.
            Err(ExchangeError::TimedOut { .. }) if self.end.fault == Fault::AskedForEver => Ok(true),
            complete => complete,
        }
    }

    fn wait(self: Box<Self>) -> Result<Vec<Vec<u8>>, ExchangeError> {
        match self.round {
            Some(round) => self.end.spoil(round.wait()),
            None => Ok(self.end.before.borrow().clone()),
        }
    }
}

/// One replica's way to its faulty ends.
struct Ends<'a> {
    lobby: &'a mut Lobby<InProcess>,
    fault: Fault,
}

impl Transport for Ends<'_> {
    type End = Faulty;

    fn connect(&mut self, limit: Duration) -> Result<Faulty, Failure> {
        let end = self.lobby.connect(limit)?;
        Ok(Faulty { end, fault: self.fault, before: RefCell::default() })
    }
}

/// Fails unless a replica of three fails `test`.
fn is_caught(fault: Fault, test: &str) -> Result<(), Failure> {
    let failed = Mutex::new(BTreeSet::new());
    in_threads(3, |lobby: &mut Lobby<InProcess>| {
        let outcomes = run_messages(&mut Ends { lobby, fault });
        let names = outcomes.iter().filter(|outcome| outcome.result.is_err()).map(|outcome| outcome.name);
        failed.lock().map_err(|_| "a panic")?.extend(names);
        Ok(())
    })?;
    let failed = failed.into_inner().map_err(|_| "a panic")?;
    if failed.contains(test) {
        return Ok(());
    }
    Err(format!("expected that {test} fails for {fault:?}, but only these do: {failed:?}").into())
}

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |(fault, test)| {
        let test = move || Ok(is_caught(fault, test).map_err(|error| error.to_string())?);
        Trial::test(format!("{fault:?}_is_caught"), test)
    };
    FAULTS.into_iter().map(trial).collect()
}
