//! Strongly connected components of a graph, without recursion: chains may be long.

use super::slots::{Slot, at};

const UNSEEN: u32 = u32::MAX;

/// One set of nodes that all lead to each other, or a single node.
#[derive(Debug)]
pub(super) struct Component {
    /// In ascending order, so that the result does not depend on where the walk began.
    pub(super) members: Vec<Slot>,
    /// More than one node, or one that leads to itself.
    pub(super) cyclic: bool,
}

/// The components of the graph of `nodes` nodes, each after all it leads to (Tarjan).
///
/// `edges(node)` are the nodes that `node` leads to; those from `nodes` on are ignored.
pub(super) fn components<'e>(nodes: usize, edges: impl Fn(Slot) -> &'e [Slot]) -> Vec<Component> {
    let mut walk = Walk {
        order: vec![UNSEEN; nodes],
        low: vec![UNSEEN; nodes],
        on_stack: vec![false; nodes],
        stack: Vec::new(),
        found: Vec::new(),
        next: 0,
    };
    for root in 0..Slot::try_from(nodes).unwrap_or(Slot::MAX) {
        if walk.order.get(at(root)) == Some(&UNSEEN) {
            walk.from(root, &edges);
        }
    }
    walk.found
}

struct Walk {
    order: Vec<u32>,
    low: Vec<u32>,
    on_stack: Vec<bool>,
    stack: Vec<Slot>,
    found: Vec<Component>,
    next: u32,
}

impl Walk {
    fn from<'e>(&mut self, root: Slot, edges: &impl Fn(Slot) -> &'e [Slot]) {
        let mut path = vec![(root, edges(root).iter())];
        self.enter(root);
        while let Some((node, targets)) = path.last_mut() {
            let node = *node;
            if let Some(&target) = targets.next() {
                match self.order.get(at(target)).copied() {
                    Some(UNSEEN) => {
                        self.enter(target);
                        path.push((target, edges(target).iter()));
                    }
                    Some(order) if self.on_stack.get(at(target)) == Some(&true) => {
                        self.lower(node, order);
                    }
                    _ => {}
                }
                continue;
            }
            path.pop();
            let low = self.low.get(at(node)).copied().unwrap_or(UNSEEN);
            if let Some(&(parent, _)) = path.last() {
                self.lower(parent, low);
            }
            if self.order.get(at(node)) == Some(&low) {
                self.close(node, edges(node));
            }
        }
    }

    fn enter(&mut self, node: Slot) {
        if let (Some(order), Some(low), Some(on_stack)) =
            (self.order.get_mut(at(node)), self.low.get_mut(at(node)), self.on_stack.get_mut(at(node)))
        {
            (*order, *low, *on_stack) = (self.next, self.next, true);
        }
        self.next += 1;
        self.stack.push(node);
    }

    fn lower(&mut self, node: Slot, to: u32) {
        if let Some(low) = self.low.get_mut(at(node)) {
            *low = to.min(*low);
        }
    }

    fn close(&mut self, node: Slot, edges: &[Slot]) {
        let start = self.stack.iter().rposition(|&member| member == node).unwrap_or_default();
        let mut members = self.stack.split_off(start);
        for &member in &members {
            if let Some(on_stack) = self.on_stack.get_mut(at(member)) {
                *on_stack = false;
            }
        }
        let cyclic = members.len() > 1 || edges.contains(&node);
        members.sort_unstable();
        self.found.push(Component { members, cyclic });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(graph: &[&[Slot]]) -> Vec<(Vec<Slot>, bool)> {
        components(graph.len(), |node| graph[at(node)])
            .into_iter()
            .map(|component| (component.members, component.cyclic))
            .collect()
    }

    #[test]
    fn cycles_are_one_component_and_come_after_what_they_lead_to() {
        assert_eq!(
            found(&[&[1], &[2, 3], &[0], &[4, 9], &[], &[5]]),
            [(vec![4], false), (vec![3], false), (vec![0, 1, 2], true), (vec![5], true)]
        );
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let nodes = 300_000;
        let edges: Vec<[Slot; 1]> = (1..=nodes).map(|next| [next]).collect();
        let found = components(edges.len(), |node| &edges[at(node)]);
        assert_eq!(found.len(), edges.len());
        assert_eq!(found[0].members, [nodes - 1]);
    }
}
