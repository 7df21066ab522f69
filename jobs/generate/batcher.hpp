#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "core/run/cache_slots.hpp"
#include "core/run/decoder.hpp"

namespace caravan::jobs {

/// A prompt to be continued.
struct Sequence {
  std::vector<std::int32_t> prompt;
  Sampling sampling;
  std::int64_t most_tokens = 0;  ///< that are made at most, at least 1

  /// Of the cache, at most.
  std::int64_t positions() const { return std::ssize(prompt) + most_tokens; }
};

/// Which rows make the next step: a row of each sequence that decodes, and pieces of prompts beside them.
/// Sequences join in their order as soon as a slot and pages are free, and leave when they are over. Numbers
/// alone: a decoder does the work.
class Batcher {
 public:
  /// `chunk`: of layers that see chunks, or 0; pieces do not cross its multiples. `most_rows`: of a step, at
  /// least the cache's slots. `stops`: ids that end a sequence.
  Batcher(const CacheShape& cache, std::int64_t chunk, std::int64_t most_rows,
          std::vector<std::int32_t> stops);

  /// It gets the next number, from 0 on. ConfigError when the cache could never hold it.
  void enqueue(Sequence sequence);
  bool done() const { return waiting_.empty() && running_.empty(); }
  std::size_t under_way() const { return posted_.size(); }

  struct Start {
    CacheSlots::Slot slot;
    const Sequence* sequence;  ///< valid until the next call
  };
  struct Step {
    std::vector<Start> starts;  ///< sequences that join with it
    std::vector<DecodeRow> rows;
  };
  /// The next step, which is posted with it. No other may be under way.
  Step compose();
  /// The next step is the last one again, one position further.
  bool goes_on() const;
  void post_again();

  enum class End { none, stop, length };
  struct Drawn {
    std::size_t number = 0;     ///< of its sequence
    std::int64_t answer = 0;    ///< its place among the answered rows
    std::int64_t position = 0;  ///< that it was drawn behind
    DrawnToken drawn;
    End end = End::none;  ///< stop: the token is none of the answer
  };
  /// What the oldest step under way drew, for its answered rows in order: of sequences that are not over yet.
  std::vector<Drawn> take(std::span<const DrawnToken> drawn);
  /// The sequence is over for a reason of the caller's.
  void finish(std::size_t number);

 private:
  struct Running {
    std::size_t number;
    Sequence sequence;
    CacheSlots::Slot slot;
    std::int64_t fed = 0;     ///< tokens that are in the cache, or on their way
    std::int64_t posted = 0;  ///< draws
    std::int64_t taken = 0;
    std::int32_t last = 0;  ///< token drawn
    bool decodes() const { return fed >= std::ssize(sequence.prompt); }
  };
  std::vector<Running>::const_iterator find(std::size_t number) const;
  void join(Step& step);
  void add_piece(Running& running, Step& step, std::vector<std::size_t>& answered);
  void leave(std::vector<Running>::const_iterator running);
  End end_of(const Running& running, std::int32_t token) const;

  CacheShape cache_;
  std::int64_t chunk_, most_rows_;
  std::vector<std::int32_t> stops_;
  CacheSlots slots_;
  std::size_t next_number_ = 0;
  std::deque<Running> waiting_;
  std::vector<Running> running_;
  std::deque<std::vector<std::size_t>> posted_;  ///< numbers of answered rows, of each step under way
  std::vector<std::size_t> last_;                ///< the same of the last step
  std::size_t last_rows_ = 0;                    ///< all its rows
};

}  // namespace caravan::jobs
