#pragma once

namespace caravan::jobs {

/// What `git describe` said of the sources when they were built; "unknown" without git. Its own source is
/// written at every build, so that a commit compiles nothing else again.
const char* built_commit();

}  // namespace caravan::jobs
