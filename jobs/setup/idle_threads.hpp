#pragma once

namespace caravan::jobs {

/// [before the first plugin is opened] Threads of OpenMP that wait for work spin for some microseconds and
/// then sleep, unless the environment says how long they spin: where cores are shared with other programs,
/// one that spins for milliseconds, as by libgomp's own default, keeps the thread that it waits for from
/// running.
void let_idle_threads_sleep();

}  // namespace caravan::jobs
