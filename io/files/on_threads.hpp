#pragma once

#include <cstddef>
#include <functional>

namespace caravan::io {

/// How many threads are worth it for moving bytes: the processors that this process may use (a launcher may
/// have bound it to some), divided among `sharers` processes that do the same, and at most eight: so many
/// keep a disk and a memory busy. At least one.
int threads_for_bytes(int sharers = 1);

/// Calls work(0) … work(count − 1), begun in this order, on at most `threads` threads, of which the caller is
/// one. What the works write must be apart. The first exception begins no further work, and is thrown here
/// once all others have returned.
void on_threads(std::size_t count, int threads, const std::function<void(std::size_t)>& work);

}  // namespace caravan::io
