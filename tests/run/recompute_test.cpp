#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "caravan/error.hpp"
#include "tests/run/late_dispatcher.hpp"
#include "tests/run/tiny_model.hpp"

// Whatever backward makes again instead of finding it kept, losses, gradients and counts have the same bits.
namespace caravan::testing {
namespace {

constexpr int kMicrobatches = 3;
constexpr std::int64_t kWidth = 12;
const std::string kEverything = "everything";

/// Experts in place, or behind exchanges between which the walks of two micro-batches alternate.
struct Case {
  std::string device, dispatch;
  tiny::Variant variant;

  friend std::ostream& operator<<(std::ostream& out, const Case& test) { return out << test.variant.name; }
  Config config() const {
    Config config = tiny::config(variant.assignments);
    config.set("dispatch", dispatch);
    return config;
  }
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const std::string& device : devices()) {
    for (const char* dispatch : {"local", "late"}) {
      for (const tiny::Variant& variant : tiny::variants()) cases.push_back({device, dispatch, variant});
    }
  }
  return cases;
}

struct Outcome {
  double loss = 0, balance = 0;
  std::vector<float> gradients, counts;
  bool operator==(const Outcome&) const = default;
};

std::vector<Step> row_of(std::initializer_list<std::pair<ActionKind, int>> actions) {
  std::vector<Step> row;
  for (const auto& [kind, microbatch] : actions) row.push_back({{0, kind, microbatch}, {}});
  return row;
}

/// Others' forwards and backwards stand between each forward and its backward, so that what is shared has
/// been written over.
std::vector<Step> fused_rows() {
  return row_of({{ActionKind::forward, 0},
                 {ActionKind::forward, 1},
                 {ActionKind::backward, 0},
                 {ActionKind::forward, 2},
                 {ActionKind::backward, 1},
                 {ActionKind::backward, 2}});
}
std::vector<Step> split_rows() {
  return row_of({{ActionKind::forward, 0},
                 {ActionKind::forward, 1},
                 {ActionKind::backward_input, 0},
                 {ActionKind::forward, 2},
                 {ActionKind::backward_input, 1},
                 {ActionKind::backward_weight, 0},
                 {ActionKind::backward_input, 2},
                 {ActionKind::backward_weight, 1},
                 {ActionKind::backward_weight, 2}});
}
/// As DualPipe's: the segments of a forward stand between those of a backward.
std::vector<Step> overlapped_rows() {
  const Action forward{0, ActionKind::forward, 1}, last{0, ActionKind::forward, 2};
  return {{{0, ActionKind::forward, 0}, {}},
          {forward, Action{0, ActionKind::backward, 0}},
          {last, Action{0, ActionKind::backward, 1}},
          {{0, ActionKind::backward, 2}, {}}};
}

class Recompute : public ::testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() { add_late_dispatcher(); }
  Recompute() : model_(GetParam().config(), {.device = GetParam().device}) {
    tiny::fill(model_, 17);
    batches_ = split_sequences(random_batch(kMicrobatches, 7, tiny::kVocabulary, 21));
  }

  const std::vector<Layer*>& layers() { return model_.stage().layers(); }
  BatchShape shape() const { return batches_.front().shape(Phase::train); }

  /// Every layer but embedding and head repeats, in groups of `every`, and keeps `sections`.
  RecomputePlan plan(std::size_t every, const std::vector<std::string>& sections = {}) {
    RecomputePlan plan(layers().size());
    for (std::size_t index = 1; index + 1 < plan.size(); ++index)
      plan[index] = {true, (index - 1) % every == 0, sections};
    return plan;
  }

  /// Of the layers that repeat.
  std::set<std::string> sections() {
    std::set<std::string> names;
    for (std::size_t index = 1; index + 1 < layers().size(); ++index) {
      StashPlan declared;
      layers()[index]->plan(shape(), declared);
      for (const StashPlan::Declaration& entry : declared.entries()) {
        if (entry.outlives_forward() && entry.shape.count() > 0) names.insert(entry.section);
      }
    }
    return names;
  }

  /// `tampered`: a section that no repeated forward makes, kept or not, or kEverything, which all make.
  Outcome run(const std::vector<Step>& row, StashMode mode, const RecomputePlan& recompute,
              const std::string& tampered = {}) {
    const bool overlaps =
        std::any_of(row.begin(), row.end(), [](const Step& step) { return step.overlapped; });
    Stash stash(model_.device(),
                StashLayout(layers(), shape(), mode, kWidth, {.overlaps = overlaps, .recompute = recompute}),
                kMicrobatches);
    if (!tampered.empty()) tamper(tampered, stash);
    Executor executor(model_.device(), model_.stage(), stash);
    std::vector<MicroBatch> views;
    for (const TestBatch& batch : batches_) views.push_back(batch.view());
    model_.parameters().start_gradients(model_.device());
    zero_counters();
    executor.run(row, views, {9, 0.05f, 0.25f}, nullptr);
    model_.parameters().finish_gradients(model_.device());
    return {*executor.sums().loss.as<double>(), *executor.sums().balance.as<double>(), model_.gradients(),
            counts()};
  }

  void tamper(const std::string& section, Stash& stash) {
    for (std::size_t index = 0; index < layers().size(); ++index) {
      StashPlan declared;
      layers()[index]->plan(shape(), declared);
      for (int set = 0; set < kMicrobatches; ++set) {
        Frame& frame = stash.frame(index, set);
        if (section == kEverything) frame.repeats_output = true;
        for (std::size_t entry = 0; entry < declared.entries().size(); ++entry) {
          if (section == kEverything) frame.repeats[entry] = true;
          if (declared.entries()[entry].section == section) frame.repeats[entry] = false;
        }
      }
    }
  }

  void zero_counters() {
    for (const auto& buffer : model_.parameters().buffers()) {
      if (buffer->role == Buffer::Role::counter)
        model_.device().fill_zero(Lane::compute, buffer->data.data, buffer->data.bytes());
    }
  }
  std::vector<float> counts() {
    std::vector<float> all;
    for (const auto& buffer : model_.parameters().buffers()) {
      if (buffer->role != Buffer::Role::counter) continue;
      const std::vector<float> counted = values(buffer->data);
      all.insert(all.end(), counted.begin(), counted.end());
    }
    return all;
  }

  /// A tied head adds to its table in forward, the embedding in W; which of two overlapped walks is first
  /// depends on how often they wait.
  bool order_matters() const { return GetParam().dispatch == "late" && GetParam().config().has("tied_head"); }
  static void expect_close(const Outcome& a, const Outcome& b, const std::string& what) {
    EXPECT_EQ(a.loss, b.loss);
    EXPECT_EQ(a.counts, b.counts);
    for (std::size_t i = 0; i < a.gradients.size(); ++i)
      ASSERT_NEAR(a.gradients[i], b.gradients[i], 1e-6) << what << ", " << i;
  }

  /// Under every kind of row.
  void expect_same(const RecomputePlan& recompute, const std::string& what) {
    if (expected_.empty()) {
      expected_ = {run(fused_rows(), StashMode::fused, {}), run(split_rows(), StashMode::split, {}),
                   run(overlapped_rows(), StashMode::fused, {}),
                   run(fused_row(kMicrobatches), StashMode::fused, {})};
      EXPECT_GT(expected_[0].loss, 0);
    }
    EXPECT_TRUE(run(fused_rows(), StashMode::fused, recompute) == expected_[0]) << what;
    EXPECT_TRUE(run(split_rows(), StashMode::split, recompute) == expected_[1]) << what << ", I and W apart";
    EXPECT_TRUE(run(fused_row(kMicrobatches), StashMode::fused, recompute) == expected_[3])
        << what << ", one after the other";
    const Outcome overlapped = run(overlapped_rows(), StashMode::fused, recompute);
    if (order_matters()) return expect_close(overlapped, expected_[2], what);
    EXPECT_TRUE(overlapped == expected_[2]) << what << ", overlapped";
  }

  TestModel model_;
  std::vector<TestBatch> batches_;
  std::vector<Outcome> expected_;
};

INSTANTIATE_TEST_SUITE_P(Variants, Recompute, ::testing::ValuesIn(all_cases()), [](const auto& test) {
  return test.param.device + "_" + test.param.dispatch + "_" + test.param.variant.name;
});

TEST_P(Recompute, of_all_layers_changes_no_bit) {
  for (std::size_t every : {1, 2, 3, 4}) expect_same(plan(every), fmt::format("groups of {}", every));
}

TEST_P(Recompute, of_some_layers_changes_no_bit) {
  RecomputePlan some = plan(2);
  for (std::size_t index : {1, 2, 5, 6}) some[index] = {};
  expect_same(some, "every other group");
}

TEST_P(Recompute, leaves_out_any_part_that_is_kept) {
  for (const std::string& section : sections()) {
    expect_same(plan(1, {section}), "kept " + section);
    expect_same(plan(2, {section}), "kept in groups of 2 " + section);
  }
}

TEST_P(Recompute, repeats_any_part_alone) {
  const std::set<std::string> all = sections();
  for (const std::string& section : all) {
    std::vector<std::string> kept(all.begin(), all.end());
    std::erase(kept, section);
    expect_same(plan(1, kept), "repeated " + section);
    expect_same(plan(2, kept), "repeated in groups of 2 " + section);
  }
}

/// That the tests above can fail. The reference looks at every index that it reads, and refuses wrong ones.
TEST_P(Recompute, of_too_little_is_seen) {
  if (GetParam().device != "reference") GTEST_SKIP() << "leftovers of other layers are no fit indices";
  const Outcome expected = run(fused_rows(), StashMode::fused, {});
  for (const std::string& section : sections()) {
    try {
      EXPECT_FALSE(run(fused_rows(), StashMode::fused, plan(1), section) == expected) << section;
    } catch (const Error&) {
      continue;
    }
  }
}

/// A plugin that does not look at what is kept writes it again, and its output.
TEST_P(Recompute, of_more_than_necessary_changes_no_bit) {
  const Outcome expected = run(fused_rows(), StashMode::fused, {});
  EXPECT_TRUE(run(fused_rows(), StashMode::fused, plan(1, {"norm", "qkv", "router"}), kEverything) ==
              expected);
}

TEST_P(Recompute, takes_less_memory_the_more_is_repeated) {
  const auto bytes = [&](const RecomputePlan& recompute, StashMode mode) {
    return StashLayout(layers(), shape(), mode, kWidth, {.recompute = recompute}).bytes_of_microbatch();
  };
  for (StashMode mode : {StashMode::fused, StashMode::split}) {
    EXPECT_LT(bytes(plan(1, {"norm"}), mode), bytes({}, mode));
    EXPECT_LT(bytes(plan(1), mode), bytes(plan(1, {"norm"}), mode));
    EXPECT_LT(bytes(plan(2), mode), bytes(plan(1), mode));
  }
}

TEST_P(Recompute, repeats_an_exchange_only_for_rows_that_are_not_kept) {
  const auto exchanges = [&](const RecomputePlan& recompute) {
    traffic = {};
    run(fused_rows(), StashMode::fused, recompute);
    EXPECT_EQ(traffic.waited, traffic.posted);
    return traffic.posted;
  };
  const int once = exchanges({});
  EXPECT_EQ(exchanges(plan(1, {"dispatch", "combine"})), once);
  EXPECT_EQ(exchanges(plan(1)) > once, once > 0);
}

/// The places that hold something while the backward of one group is under way.
TEST_P(Recompute, keeps_apart_what_a_group_uses_at_once) {
  const RecomputePlan groups = plan(2, {"norm"});
  const StashLayout layout(layers(), shape(), StashMode::split, kWidth, {.recompute = groups});
  std::size_t end = 0;  // places are handed out in ascending order
  const auto take = [&](const StashLayout::Address& place) {
    if (place.region != StashLayout::recomputed || place.shape.count() == 0) return;
    EXPECT_GE(place.offset, end);
    end = place.offset + static_cast<std::size_t>(place.shape.count()) * size_of(place.dtype);
    EXPECT_LE(end, layout.bytes(StashLayout::recomputed));
  };
  for (std::size_t index = 0; index < layout.num_layers(); ++index) {
    if (groups[index].keeps_input) end = 0;
    if (!groups[index].keeps_input) take(layout.layer(index).x);
    for (const StashLayout::Address& address : layout.layer(index).entries) take(address);
  }
  EXPECT_GT(layout.bytes(StashLayout::recomputed), 0u);
}

}  // namespace
}  // namespace caravan::testing
