//! Dependency order without recursion.

/// An order in which every node comes after those it depends on.
pub(crate) struct Order {
    /// All nodes; those of a circle, and those behind one, come last.
    pub(crate) sequence: Vec<usize>,
    /// One circle per group of nodes that depend on each other; its first node
    /// depends on the second, and so on, the last on the first.
    pub(crate) circles: Vec<Vec<usize>>,
}

/// Orders `0..dependencies.len()`; linear in nodes and edges.
pub(crate) fn order(dependencies: &[Vec<usize>]) -> Order {
    let count = dependencies.len();
    let mut dependents = vec![Vec::new(); count];
    let mut open = vec![0usize; count];
    for (node, list) in dependencies.iter().enumerate() {
        open[node] = list.len();
        for &dependency in list {
            dependents[dependency].push(node);
        }
    }
    let mut sequence: Vec<usize> = (0..count).filter(|&node| open[node] == 0).collect();
    let mut next = 0;
    while next < sequence.len() {
        for &dependent in &dependents[sequence[next]] {
            open[dependent] -= 1;
            if open[dependent] == 0 {
                sequence.push(dependent);
            }
        }
        next += 1;
    }
    let circles = find_circles(dependencies, &open);
    sequence.extend((0..count).filter(|&node| open[node] > 0));
    Order { sequence, circles }
}

/// Follows, from every blocked node, one blocked dependency after the other:
/// such a walk ends in a circle, or in a node seen by an earlier walk.
fn find_circles(dependencies: &[Vec<usize>], open: &[usize]) -> Vec<Vec<usize>> {
    let mut circles = Vec::new();
    let mut walk_of = vec![usize::MAX; open.len()];
    for start in 0..open.len() {
        let mut path = Vec::new();
        let mut node = start;
        while open[node] > 0 && walk_of[node] == usize::MAX {
            walk_of[node] = start;
            path.push(node);
            let blocked = dependencies[node].iter().copied().find(|&next| open[next] > 0);
            node = blocked.expect("a blocked node waits for a blocked one");
        }
        if open[node] > 0 && walk_of[node] == start && !path.is_empty() {
            let entry = path.iter().position(|&seen| seen == node);
            circles.push(path.split_off(entry.expect("the walk passed this node")));
        }
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_first() {
        let order = order(&[vec![1, 2], vec![2], vec![]]);
        assert_eq!((order.sequence, order.circles), (vec![2, 1, 0], vec![]));
    }

    #[test]
    fn circles_are_named_once_each() {
        let order = order(&[vec![1], vec![2], vec![0], vec![0], vec![4], vec![]]);
        assert_eq!(order.circles, [vec![0, 1, 2], vec![4]]);
        assert_eq!(order.sequence, [5, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let chain: Vec<_> = (0..200_000).map(|n| vec![(n + 1) % 200_000]).collect();
        assert_eq!(order(&chain).circles.len(), 1);
    }
}
