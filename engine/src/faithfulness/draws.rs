//! Random sets of units to compare a citation with: as many of each kind, others first.
//! In: a set, each unit's kind, a seed. Out: sets.

/// `draws` sets with as many units of every group as `units` has. Units outside the set come first: they are drawn without
/// replacement, and only where a group has too few of them its own units fill up. None where no group has another unit.
pub(super) fn random_sets(
    units: &[u32],
    group_of: &[Option<usize>],
    draws: usize,
    seed: u64,
) -> Vec<Vec<u32>> {
    let mut groups: Vec<(Vec<u32>, Vec<u32>)> = Vec::new();
    let mut names: Vec<usize> = Vec::new();
    for &unit in units {
        // A unit that may not be cited (the instruction's) is compared with nothing.
        let Some(group) = group_of.get(unit as usize).copied().flatten() else {
            continue;
        };
        match names.iter().position(|name| *name == group) {
            Some(at) => groups[at].0.push(unit),
            None => {
                names.push(group);
                groups.push((vec![unit], Vec::new()));
            }
        }
    }
    for (unit, group) in (0u32..).zip(group_of) {
        let at = names.iter().position(|name| Some(*name) == *group);
        if let Some(at) = at
            && units.binary_search(&unit).is_err()
        {
            groups[at].1.push(unit);
        }
    }
    if groups.iter().all(|(_, others)| others.is_empty()) {
        return Vec::new();
    }
    let mut random = Random(seed);
    (0..draws)
        .map(|_| {
            let mut set: Vec<u32> = Vec::new();
            for (own, others) in &groups {
                let mut pool = others.clone();
                random.shuffle(&mut pool);
                let mut rest = own.clone();
                random.shuffle(&mut rest);
                pool.extend(rest);
                set.extend(&pool[..own.len()]);
            }
            set.sort_unstable();
            set
        })
        .collect()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Fisher-Yates; the bias of a remainder is far below anything measured here.
    fn shuffle(&mut self, items: &mut [u32]) {
        for end in (1..items.len()).rev() {
            items.swap(end, (self.next() % (end as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_match_in_kind_and_number_and_take_others_first() {
        // Units 0..4 are of one kind, 4..6 of another, 6 may not be cited.
        let groups = [0, 0, 0, 0, 1, 1].map(Some);
        let groups: Vec<Option<usize>> = groups.into_iter().chain([None]).collect();
        let sets = random_sets(&[0, 4, 6], &groups, 50, 3);
        assert_eq!(sets.len(), 50);
        for set in &sets {
            assert_eq!(set.len(), 2);
            assert!((1..4).contains(&set[0]) && set[1] == 5, "{set:?}");
        }
        assert!((1..4).all(|unit| sets.iter().any(|set| set[0] == unit)));
        assert_eq!(sets, random_sets(&[0, 4, 6], &groups, 50, 3));
        assert_ne!(sets, random_sets(&[0, 4, 6], &groups, 50, 4));

        // Three of four: one other, two of its own.
        for set in random_sets(&[0, 1, 2], &groups, 20, 1) {
            assert!(set.len() == 3 && set.contains(&3));
        }
        assert!(random_sets(&[4, 5], &groups, 5, 0).is_empty());
        assert!(random_sets(&[6], &groups, 5, 0).is_empty());
    }
}
