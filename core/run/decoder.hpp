#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "core/run/executor.hpp"
#include "core/run/slot_state.hpp"
#include "core/run/step_rows.hpp"

namespace caravan {

/// What was drawn behind a row.
struct DrawnToken {
  std::int32_t token = kNotDrawn;  ///< kNotDrawn: its logits are not finite
  float log_prob = 0;              ///< where the plan asks
};

/// What a decoder is made for.
struct DecodePlan {
  CacheShape cache;
  std::int64_t most_rows = 1;       ///< of a step
  DType compute = DType::f32;       ///< of activations and cache
  std::int64_t drawable = 0;        ///< tokens that may be drawn: ids below this
  std::vector<std::int32_t> stops;  ///< ids that end a sequence
  std::vector<float> bias;          ///< [V] of logits, or none
  bool keeps_seen = false;          ///< some sequence has a repetition rule
  bool log_probs = false;
  bool is_alone = true;  ///< no other rank computes it too: a device may hold steps as one piece
};

/// Feeds rows of many sequences through a model, and draws the tokens behind them. A step's inputs, its draws
/// and its end are in the device's memory: of a step that goes on where the last one ended nothing comes from
/// the host. Borrows device and stage, whose weights must be loaded.
class Decoder {
 public:
  /// `groups`: of parameters that ranks divide, all of which then post the same steps; null where all are
  /// whole.
  Decoder(Device& device, Stage& stage, DecodePlan plan, StageGroups* groups = nullptr);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  /// Device memory that it will take with steps of all sizes up to the plan's.
  static std::size_t bytes(Device& device, Stage& stage, const DecodePlan& plan);

  void begin(const CacheSlots::Slot& slot, const SlotStart& start) { state_.slots.begin(slot, start); }
  /// Posts a step. Of each slot rows are neighbouring positions of one chunk, ascending, and one at most is
  /// answered. Error where they are more than the plan's.
  void post(std::span<const DecodeRow> rows);
  /// Posts a step behind one all of whose rows were answered: each row's token is what was drawn there, at
  /// the next position. Rows whose sequence is over have become padding, and draw nothing.
  void post_again();
  /// What the oldest step that was not awaited drew, for each answered row in order; valid until the next
  /// await but one. At most two steps may be under way.
  std::span<const DrawnToken> await();
  /// Logits [V] of an answered row of the last step posted.
  std::vector<float> logits(std::int64_t answer);

 private:
  /// Memory and walks for steps of one number of rows.
  struct Size {
    Size(Device& device, Stage& stage, StageGroups* groups, const StashLayout& layout, const Stash* session);
    Stash stash;
    Executor executor;
    bool went_on = false;                  ///< by a step as the host posts it
    std::unique_ptr<CapturedPosts> again;  ///< a step that goes on, where the device holds it
  };
  /// A step under way, and where its draws arrive.
  struct Posted {
    std::int64_t answers = 0;
    Event drawn;
    std::vector<std::int32_t> tokens;
    std::vector<float> log_probs;
    std::vector<DrawnToken> results;
  };
  static StashLayout layout(Stage& stage, const DecodePlan& plan, std::int64_t rows);
  /// What is on the device besides the stashes.
  struct State {
    State(Device& device, Arena& arena, const Stage& stage, const DecodePlan& plan);
    StepRows rows;
    SlotState slots;
    TensorView logits, log_probs;  // [R, V], [R]
    TensorView stops, bias;        // [S] i32, [V], or empty
  };
  static std::size_t state_bytes(Device& device, const Stage& stage, const DecodePlan& plan);
  Size& size(std::int64_t rows);
  TensorView of_answers(const TensorView& array) const;
  std::int64_t most_answers() const { return std::min(state_.rows.size(), plan_.cache.slots); }
  void check_pieces(std::span<const DecodeRow> rows) const;
  void forward();
  void draw();
  void go_on();
  void hand_over();

  Device& device_;
  Stage& stage_;
  StageGroups* groups_;
  DecodePlan plan_;
  Arena memory_;
  State state_;
  std::map<std::int64_t, std::unique_ptr<Size>> sizes_;  // by rows; 1 owns the session
  std::array<Posted, 2> posted_;
  std::size_t first_posted_ = 0, num_posted_ = 0;
};

/// Rows of prompts that a step takes at most: enough that reading weights costs little beside computing.
std::int64_t piece_rows(const Device& device);

/// The number of rows that a step of `rows` is run with, at most `most`: few different ones, little padding.
std::int64_t padded_rows(std::int64_t rows, std::int64_t most);

}  // namespace caravan
