// What normalizes a channel, with γ and β.
struct Conclusion { statistics: Statistics, inv_std: Channel, scale: Channel, offset: Channel }

fn conclusion_of(found: Found, channel: u32) -> Conclusion {
    let statistics = statistics_of(found);
    let inv_std = inverse_sqrt(statistics.variance + params.epsilon);
    return Conclusion(statistics, inv_std, weight_of(channel) * inv_std, bias_of(channel));
}
