//! One statement, or one look into the cache, for all requests that wait for their turn to do the same.
//!
//! Who has to wait does so with those who wait already, as long as that has not begun. So nobody reads what is
//! older than the request, and a crowd costs no more than a few.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinError;
use tokio::time::Instant;

/// What is waited for together.
pub(crate) type Waiting<T> = Shared<BoxFuture<'static, T>>;

/// Where requests meet that have to wait, each with what it brings.
#[derive(Debug)]
pub(crate) struct Together<I, T> {
    turns: Semaphore,
    company: Mutex<Option<Company<I, T>>>,
}

#[derive(Debug)]
struct Company<I, T> {
    brought: Vec<I>,
    waiting: Waiting<T>,
}

/// Open while others may still come along; it closes also when it is dropped, however that comes about.
#[derive(Debug)]
pub(crate) struct Door<I: 'static, T: 'static>(Option<&'static Together<I, T>>);

impl<I, T> Together<I, T> {
    /// For work of which so much may run at once.
    pub(crate) fn new(turns: usize) -> Self {
        Self {
            turns: Semaphore::new(turns),
            company: Mutex::default(),
        }
    }

    /// A turn for who need not wait for it.
    pub(crate) fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.try_acquire().ok()
    }

    /// The next turn, if it comes in time.
    pub(crate) async fn turn_before(&self, end: Instant) -> Option<SemaphorePermit<'_>> {
        tokio::time::timeout_at(end, self.turns.acquire())
            .await
            .ok()?
            .ok()
    }

    fn company(&self) -> MutexGuard<'_, Option<Company<I, T>>> {
        self.company.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Send + 'static, T: Clone + Send + Sync + 'static> Together<I, T> {
    /// Comes along with those who wait, or begins to wait: for `work`, which closes its door before it does anything. Says
    /// which of those who came this one is. The work goes on when the one who began it has left.
    pub(crate) fn join<F>(&'static self, brings: I, work: impl FnOnce(Door<I, T>) -> F) -> (usize, Waiting<T>)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut company = self.company();
        let company = company.get_or_insert_with(|| {
            let work = work(Door(Some(self)));
            // A task of its own, which begins when somebody waits for it, not here under the lock.
            let work = async {
                match tokio::spawn(work).await.map_err(JoinError::try_into_panic) {
                    Ok(done) => done,
                    Err(Ok(panic)) => std::panic::resume_unwind(panic),
                    // Cancelled: the program is at its end.
                    Err(Err(_)) => std::future::pending().await,
                }
            };
            Company {
                brought: Vec::new(),
                waiting: work.boxed().shared(),
            }
        });
        company.brought.push(brings);
        (company.brought.len() - 1, company.waiting.clone())
    }
}

impl<I, T> Door<I, T> {
    /// What those who came have brought, in the order in which they came.
    pub(crate) fn close(mut self) -> Vec<I> {
        self.company().map(|company| company.brought).unwrap_or_default()
    }

    fn company(&mut self) -> Option<Company<I, T>> {
        // The lock is free again before what was waited for is dropped.
        self.0.take()?.company().take()
    }
}

impl<I, T> Drop for Door<I, T> {
    fn drop(&mut self) {
        drop(self.company());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Readings that begin and end when the test says so; each gives its number, and what its readers have brought.
    #[derive(Debug)]
    struct Book {
        together: Together<&'static str, Reading>,
        begun: AtomicUsize,
        begin: Semaphore,
        end: Semaphore,
    }

    type Reading = (usize, Vec<&'static str>);

    impl Book {
        fn open() -> &'static Self {
            Box::leak(Box::new(Self {
                together: Together::new(1),
                begun: AtomicUsize::new(0),
                begin: Semaphore::new(0),
                end: Semaphore::new(0),
            }))
        }

        /// Gives the reading's number and what was brought to it in the reader's place.
        fn reader(&'static self, name: &'static str) -> tokio::task::JoinHandle<(usize, &'static str)> {
            let (place, reading) = self.together.join(name, |door| async move {
                self.begin.acquire().await.unwrap().forget();
                let brought = door.close();
                let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
                self.end.acquire().await.unwrap().forget();
                (number, brought)
            });
            tokio::spawn(async move {
                let (number, brought) = reading.await;
                (number, brought[place])
            })
        }

        async fn until_begun(&self, number: usize) {
            self.begin.add_permits(1);
            while self.begun.load(Ordering::Relaxed) < number {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn who_comes_before_the_reading_begins_shares_it_and_who_comes_later_does_not() {
        let book = Book::open();
        let early = ["a", "b", "c"].map(|name| (name, book.reader(name)));
        book.until_begun(1).await;
        let late = ["d", "e"].map(|name| (name, book.reader(name)));
        book.until_begun(2).await;
        book.end.add_permits(2);
        for (name, reader) in early {
            assert_eq!(reader.await.unwrap(), (1, name));
        }
        for (name, reader) in late {
            assert_eq!(reader.await.unwrap(), (2, name));
        }
    }

    #[tokio::test]
    async fn the_reading_goes_on_when_the_one_who_began_it_has_left() {
        let book = Book::open();
        let first = book.reader("first");
        let other = book.reader("other");
        tokio::task::yield_now().await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        book.until_begun(1).await;
        book.end.add_permits(1);
        assert_eq!(other.await.unwrap(), (1, "other"));
    }

    #[tokio::test]
    async fn a_reading_that_fails_is_not_kept() {
        let book = Book::open();
        let (_, failed) = book.together.join("unlucky", |door| async move {
            let _door = door;
            panic!("no reading");
        });
        assert!(tokio::spawn(failed).await.unwrap_err().is_panic());
        let next = book.reader("next");
        book.until_begun(1).await;
        book.end.add_permits(1);
        assert_eq!(next.await.unwrap(), (1, "next"));
    }

    #[tokio::test]
    async fn so_many_turns_as_there_are_and_no_more() {
        let book = Book::open();
        let turn = book.together.turn();
        assert!(turn.is_some());
        assert!(book.together.turn().is_none());
        drop(turn);
        assert!(book.together.turn().is_some());
    }
}
