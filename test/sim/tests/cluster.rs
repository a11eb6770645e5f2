//! Fifty stories; a prove run tells a thousand.

use bulwark_sim::tell;

/// Stories told when nobody asks for more.
const SEEDS: u64 = 50;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[test]
fn whatever_breaks_interest_converges_and_nothing_comes_twice() {
    let seeds = match number("SIM_SEED") {
        Some(one) => one..one + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(SEEDS),
    };
    let (mut published, mut bound_abroad, mut troubles) = (0, 0, 0);
    for seed in seeds.clone() {
        let story = tell(seed).unwrap_or_else(|why| panic!("{why}\nagain with SIM_SEED={seed}"));
        published += story.published;
        bound_abroad += story.bound_abroad;
        troubles += story.troubles.len();
    }
    let count = seeds.count();
    // One story alone may have one cluster.
    assert!(published > 0 && troubles > 0 && (bound_abroad > 0 || count == 1));
    println!("{count} seeds, {published} messages, {bound_abroad} orders bound from abroad, {troubles} troubles");
}
