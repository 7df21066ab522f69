#include <gmock/gmock.h>

#include "core/device/reference_device.hpp"
#include "core/run/walk.hpp"
#include "tests/support/message_of.hpp"

// Exchanges under way in a walk: several at once, each waited for by the visit that names it.
namespace caravan::testing {
namespace {

using ::testing::ElementsAre;

using Journal = std::vector<std::string>;

class Noted final : public Segment {
 public:
  Noted(Journal& journal, std::string name, Lane lane = Lane::compute)
      : journal_(journal), name_(std::move(name)), lane_(lane) {}
  std::string_view name() const override { return name_; }
  Lane lane() const override { return lane_; }
  void wait(caravan::Run& run) override {
    journal_.push_back("wait " + name_ + std::to_string(run.pending.id()));
    run.pending = Ticket{};
  }
  void forward(Run& run, Frame&) override {
    journal_.push_back(name_);
    if (lane_ != Lane::compute) run.pending = Ticket(++posted_);
  }
  void backward_input(Run&, Frame&) override {}

 private:
  Journal& journal_;
  std::string name_;
  Lane lane_;
  std::uint64_t posted_ = 0;
};

class NotedLayer final : public Layer {
 public:
  explicit NotedLayer(std::vector<Segment*> segments) : segments_(std::move(segments)) {}
  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  void plan(const BatchShape&, StashPlan&) override {}
  double forward_flops(const BatchShape&) const override { return 0; }

 private:
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

class CursorTest : public ::testing::Test {
 protected:
  Journal journal_;
  ReferenceDevice device_{Host{}, Config::map()};
  Noted fetch_{journal_, "fetch", Lane::shard}, send_{journal_, "send", Lane::expert}, a_{journal_, "a"},
      b_{journal_, "b"}, c_{journal_, "c"};
  NotedLayer layer_{{&fetch_, &send_, &a_, &b_, &c_}};
  Stash stash_{device_, StashLayout({&layer_}, {}, StashMode::inference, 4), 1};
  caravan::Run run_{.device = device_, .ops = device_.ops()};
};

TEST_F(CursorTest, WaitsForWhatAVisitNamesAndNothingElse) {
  using What = Visit::What;
  const Walk walk{{&fetch_, 0, What::forward, false, {}},
                  {&send_, 0, What::forward, false, {}},
                  {&a_, 0, What::forward, false, {}},
                  {&b_, 0, What::forward, false, {1}},
                  {&c_, 0, What::forward, false, {0}}};
  Cursor(walk, run_, stash_, 0).finish();
  EXPECT_THAT(journal_, ElementsAre("fetch", "send", "a", "wait send1", "b", "wait fetch1", "c"));
}

TEST_F(CursorTest, WaitsAtTheEndForWhatNobodyNamed) {
  using What = Visit::What;
  const Walk walk{{&fetch_, 0, What::forward, false, {}}, {&a_, 0, What::forward, false, {}}};
  Cursor cursor(walk, run_, stash_, 0);
  cursor.advance();
  EXPECT_FALSE(cursor.done()) << "the exchange is under way";
  cursor.advance();
  EXPECT_TRUE(cursor.done());
  EXPECT_THAT(journal_, ElementsAre("fetch", "a", "wait fetch1"));
}

TEST_F(CursorTest, AdvanceStopsWhereAnExchangeIsNeeded) {
  const Walk walk = forward_walk({&layer_});
  Cursor cursor(walk, run_, stash_, 0);
  cursor.advance();
  EXPECT_THAT(journal_, ElementsAre("fetch")) << "the next segment needs what was posted before it";
  cursor.finish();
  EXPECT_THAT(journal_, ElementsAre("fetch", "wait fetch1", "send", "wait send1", "a", "b", "c"));
}

TEST_F(CursorTest, WhatIsNotPostedIsNotWaitedFor) {
  Noted quiet(journal_, "quiet");
  using What = Visit::What;
  const Walk walk{{&quiet, 0, What::forward, false, {}}, {&a_, 0, What::forward, false, {0}}};
  Cursor(walk, run_, stash_, 0).finish();
  EXPECT_THAT(journal_, ElementsAre("quiet", "a"));
}

/// An exchange that fails when it is waited for.
class Failing final : public Segment {
 public:
  std::string_view name() const override { return "fetch"; }
  Lane lane() const override { return Lane::shard; }
  void wait(caravan::Run&) override { throw Error("the link is down"); }
  void forward(caravan::Run& run, Frame&) override { run.pending = Ticket(1); }
  void backward_input(caravan::Run&, Frame&) override {}
};

TEST_F(CursorTest, AnErrorOfAWaitNamesTheSegmentThatPosted) {
  Failing failing;
  const Walk walk{{&failing, 0, Visit::What::forward, false, {}}, {&a_, 0, Visit::What::forward, false, {0}}};
  const std::vector<std::string> names{"layers.4"};
  EXPECT_EQ(whole_message_of<Error>([&] { Cursor(walk, run_, stash_, 0, nullptr, names).finish(); }),
            "the link is down\n  in segment 'fetch' of layer 'layers.4'");
}

}  // namespace
}  // namespace caravan::testing
