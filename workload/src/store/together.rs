//! One statement for all requests that wait for their turn to read the same.
//!
//! Who has to wait does so with those who wait already, as long as their statement has not begun. So nobody reads what is older than the request, and a crowd of readers costs the database no more than a few.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::task::JoinError;

/// What is waited for together.
pub(super) type Waiting<T> = Shared<BoxFuture<'static, T>>;

/// Where requests meet.
#[derive(Debug)]
pub(super) struct Together<T>(Mutex<Option<Waiting<T>>>);

/// Open while others may still come along; it closes when it is dropped, however that comes about.
#[derive(Debug)]
pub(super) struct Door<T: 'static>(&'static Together<T>);

impl<T> Default for Together<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Together<T> {
    fn lock(&self) -> MutexGuard<'_, Option<Waiting<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Send + Sync + 'static> Together<T> {
    /// Comes along with those who wait, or begins to wait: for `read`, which drops its door before it looks at anything.
    /// It goes on when the one who began it has left.
    pub(super) fn join<F>(&'static self, read: impl FnOnce(Door<T>) -> F) -> Waiting<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut waiting = self.lock();
        let joined = waiting.get_or_insert_with(|| {
            let read = read(Door(self));
            // A task of its own, which begins when somebody waits for it, not here under the lock.
            let read = async {
                match tokio::spawn(read).await.map_err(JoinError::try_into_panic) {
                    Ok(read) => read,
                    Err(Ok(panic)) => std::panic::resume_unwind(panic),
                    // Cancelled: the program is at its end.
                    Err(Err(_)) => std::future::pending().await,
                }
            };
            read.boxed().shared()
        });
        joined.clone()
    }
}

impl<T> Drop for Door<T> {
    fn drop(&mut self) {
        // The lock is free again before what was waited for is dropped.
        let waiting = self.0.lock().take();
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Readings that begin and end when the test says so; each gives its number.
    #[derive(Debug)]
    struct Book {
        together: Together<usize>,
        begun: AtomicUsize,
        begin: Semaphore,
        end: Semaphore,
    }

    impl Book {
        fn open() -> &'static Self {
            Box::leak(Box::new(Self {
                together: Together::default(),
                begun: AtomicUsize::new(0),
                begin: Semaphore::new(0),
                end: Semaphore::new(0),
            }))
        }

        fn reader(&'static self) -> tokio::task::JoinHandle<usize> {
            let read = self.together.join(|door| async move {
                self.begin.acquire().await.unwrap().forget();
                drop(door);
                let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
                self.end.acquire().await.unwrap().forget();
                number
            });
            tokio::spawn(read)
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
        let early = [book.reader(), book.reader(), book.reader()];
        book.until_begun(1).await;
        let late = [book.reader(), book.reader()];
        book.until_begun(2).await;
        book.end.add_permits(2);
        for reader in early {
            assert_eq!(reader.await.unwrap(), 1);
        }
        for reader in late {
            assert_eq!(reader.await.unwrap(), 2);
        }
    }

    #[tokio::test]
    async fn the_reading_goes_on_when_the_one_who_began_it_has_left() {
        let book = Book::open();
        let first = book.reader();
        let other = book.reader();
        tokio::task::yield_now().await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        book.until_begun(1).await;
        book.end.add_permits(1);
        assert_eq!(other.await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_reading_that_fails_is_not_kept() {
        let book = Book::open();
        let failed = book.together.join(|door| async move {
            let _door = door;
            panic!("no reading");
        });
        assert!(tokio::spawn(failed).await.unwrap_err().is_panic());
        let next = book.reader();
        book.until_begun(1).await;
        book.end.add_permits(1);
        assert_eq!(next.await.unwrap(), 1);
    }
}
