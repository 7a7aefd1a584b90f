//! x
/// x
#[derive(Debug)]
pub struct Naive<T, const W: bool>(Vec<(String, T)>);
/// x
pub type WildcardTrie<T> = Naive<T, true>;
/// x
pub type PrefixTrie<T> = Naive<T, false>;
impl<T, const W: bool> Naive<T, W> {
    /// x
    pub fn new() -> Self {
        Self(vec![])
    }
    /// x
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// x
    pub fn get_mut(&mut self, p: &str) -> Option<&mut T> {
        self.0.iter_mut().find(|x| x.0 == p).map(|x| &mut x.1)
    }
    /// x
    pub fn insert(&mut self, p: &str, t: T) -> Option<T> {
        if let Some(x) = self.get_mut(p) {
            return Some(std::mem::replace(x, t));
        }
        self.0.push((p.into(), t));
        None
    }
    /// x
    pub fn remove(&mut self, p: &str) -> Option<T> {
        let i = self.0.iter().position(|x| x.0 == p)?;
        Some(self.0.remove(i).1)
    }
    /// x
    pub fn for_each_match(&self, u: &str, mut f: impl FnMut(&T)) {
        for (p, t) in &self.0 {
            let m = if W {
                let a: Vec<_> = p.split('.').collect();
                let b: Vec<_> = u.split('.').collect();
                a.len() == b.len() && a.iter().zip(&b).all(|(x, y)| x.is_empty() || x == y)
            } else {
                u.starts_with(p.as_str())
            };
            if m {
                f(t)
            }
        }
    }
}
