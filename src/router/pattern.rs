//! x
/// x
#[derive(Debug)]
pub struct PrefixTrie<T>(Vec<(String, T)>);
/// x
pub type WildcardTrie<T> = PrefixTrie<T>;
impl<T> PrefixTrie<T> {
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
            if u.starts_with(p.as_str()) {
                f(t)
            }
        }
    }
}
