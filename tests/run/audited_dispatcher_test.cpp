#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "caravan/plugin.hpp"
#include "core/run/audited_dispatcher.hpp"
#include "parallel/process_mesh.hpp"
#include "parallel/world.hpp"
#include "tests/run/tiny_model.hpp"
#include "tests/support/message_of.hpp"

// What a dispatcher of an audit build says of the rows that it brings: a layer whose dispatcher says what is
// not so is named, with the rank.
namespace caravan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::int32_t* offsets(const Received& received) {
  return received.offsets.as<std::int32_t>();
}
std::int64_t experts(const Received& received) {
  return received.offsets.count() - 1;
}

void tell_the_truth(const Received&) {}
/// The first row of the last expert is said to be of the one before it.
void move_a_row(const Received& received) {
  ++offsets(received)[experts(received) - 1];
}
void forget_a_row(const Received& received) {
  --offsets(received)[experts(received)];
}
void pad(const Received& received, float value) {
  const TensorView row = received.rows.rows(offsets(received)[experts(received)]++, received.rows.extent(0));
  for (std::int64_t h = 0; h < row.extent(1); ++h) element(row, h) = value;
}
void pad_with_zeros(const Received& received) {
  pad(received, 0);
}
void pad_with_ones(const Received& received) {
  pad(received, 1);
}
void begin_at_one(const Received& received) {
  ++offsets(received)[0];
}
void go_beyond_memory(const Received& received) {
  offsets(received)[experts(received)] = static_cast<std::int32_t>(received.rows.extent(0)) + 1;
}

struct Lie {
  const char* name;
  void (*tell)(const Received& received);
  const char* found;  ///< in the message; null: it is none
};
constexpr Lie kLies[] = {
    {"truth", tell_the_truth, nullptr},
    {"padding", pad_with_zeros, nullptr},
    {"a_row_of_another", move_a_row, "and rows that pad an expert are zero"},
    {"a_row_too_few", forget_a_row, "the routers of all ranks chose it "},
    {"a_row_too_many", pad_with_ones, "the routers of all ranks chose it "},
    {"a_row_before_the_first", begin_at_one, "they ascend from 0"},
    {"a_row_behind_the_memory", go_beyond_memory, "the memory for them"},
};

/// The dispatcher `exchanged`, but for a lie on every rank: one that went on would wait for those that fail.
class Liar final : public Dispatcher {
 public:
  using Interface = Dispatcher;
  static constexpr const char* kName = "liar";
  static constexpr const char* kSummary = "Says what is not so";
  static constexpr caravan_param kParams[] = {{"lie", "int", "0", "", ">= 0", "Which one"}};

  Liar(const Host& host, const Config& config)
      : honest_(host.registry->create<Dispatcher>("exchanged", host, Config::map())),
        lie_(kLies[config.get_int("lie")]) {}

  DispatchNeeds needs(const DispatchSpec& spec) const override {
    DispatchNeeds needs = honest_->needs(spec);
    needs.most_received += 1;
    return needs;
  }
  Ticket post_dispatch(Run& run, const Routing& routing, const Received& received, TensorView x) override {
    Ticket ticket = honest_->post_dispatch(run, routing, received, x);
    dispatched_[ticket.id()] = received;
    return ticket;
  }
  Ticket post_combine(Run& run, const Routing& routing, const Received& received,
                      const Combine& args) override {
    return honest_->post_combine(run, routing, received, args);
  }
  Ticket post_combine_gradient(Run& run, const Routing& routing, const Received& received,
                               const CombineGradient& args) override {
    return honest_->post_combine_gradient(run, routing, received, args);
  }
  Ticket post_dispatch_gradient(Run& run, const Routing& routing, const Received& received,
                                const DispatchGradient& args) override {
    return honest_->post_dispatch_gradient(run, routing, received, args);
  }
  void wait(Run& run, Ticket& ticket) override {
    const auto dispatched = dispatched_.extract(ticket.id());
    honest_->wait(run, ticket);
    if (!dispatched.empty()) lie_.tell(dispatched.mapped());
  }

 private:
  Made<Dispatcher> honest_;
  const Lie& lie_;
  std::map<std::uint64_t, Received> dispatched_;
};

/// A liar that is audited, whatever the build.
int make_watched(const caravan_host* host, const caravan_config* config, void** out,
                 caravan_error* error) noexcept {
  void* liar = nullptr;
  if (detail::create_component<Liar>(host, config, &liar, error) != CARAVAN_OK) return CARAVAN_FAILED;
  Made<Dispatcher> made(static_cast<Dispatcher*>(liar), &detail::destroy_component<Liar>);
  Dispatcher* watched = audited(std::move(made), Liar::kName, Host::from(host)).release();
  *out = watched;
  return CARAVAN_OK;
}

class AuditedDispatcher : public ::testing::TestWithParam<std::size_t> {
 protected:
  static void SetUpTestSuite() {
    static caravan_component watched = component<Liar>();
    watched.name = "watched";
    watched.create = make_watched;
    registry().add(watched);
  }
  double loss() {
    Config config = tiny::config({"top_k=2", "normalise=true"});
    config.set("dispatch", Config::parse(fmt::format("{{name: watched, lie: {}}}", GetParam()), "test"));
    TestModel model(config, {.mesh = mesh_.get()});
    tiny::fill(model, 37);
    return evaluate(model, random_batch(2, 7, tiny::kVocabulary, 9)).loss;
  }

  std::unique_ptr<Communicator> world_ = parallel::make_world_communicator();
  Made<Device> device_ = make_device("reference");
  std::unique_ptr<Mesh> mesh_ = parallel::make_process_mesh(
      *world_, MeshLayout({.dp_shard = world_->size(), .ep = world_->size()}, world_->size()), *device_);
};
INSTANTIATE_TEST_SUITE_P(Lies, AuditedDispatcher, ::testing::Range<std::size_t>(0, std::size(kLies)),
                         [](const auto& test) { return kLies[test.param].name; });

TEST_P(AuditedDispatcher, IsNamedWithItsRankAndLayerWhereItsCountsAreWrong) {
  if (!kLies[GetParam()].found) {
    EXPECT_TRUE(std::isfinite(loss()));
    return;
  }
  const std::string message = whole_message_of<Error>([&] { loss(); });
  EXPECT_THAT(message, StartsWith(fmt::format("rank {}: dispatcher 'liar': ", world_->rank())));
  EXPECT_THAT(message, HasSubstr(kLies[GetParam()].found));
  EXPECT_THAT(message, HasSubstr("segment 'dispatch' of layer 'layers."));
}

}  // namespace
}  // namespace caravan::testing
