#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "caravan/check.hpp"
#include "caravan/host.hpp"
#include "jobs/check/check_component.hpp"
#include "jobs/check/dispatch_trial.hpp"
#include "jobs/check/paper_trial.hpp"
#include "jobs/setup/gather.hpp"
#include "jobs/setup/machine.hpp"
#include "parallel/process_mesh.hpp"

namespace caravan::jobs {
namespace {

constexpr auto kInput = ScoreSide::input, kOutput = ScoreSide::output;

std::vector<DispatchCase> cases(int ranks) {
  return {
      {"one expert a token", 1, kInput, Chosen::dealt, 1, 5},
      {"two experts a token", 2, kInput, Chosen::dealt, 2, 4},
      {"scores on the output", 2, kOutput, Chosen::dealt, 2, 4},
      {"all tokens to the first experts", 2, kInput, Chosen::first, 1, 5},
      {"all tokens to the last expert", 1, kOutput, Chosen::last, 1, 5},
      {"some ranks with fewer rows", 2, kOutput, Chosen::dealt, 1, ranks + 1, true},
      {"one token on all ranks", 1, kInput, Chosen::dealt, 1, 1, true},
      {"choices beyond a capacity", 2, kOutput, Chosen::first, 2, 4, false, 2},
  };
}

/// A training step's order, one micro-batch after the other.
void by_turns(DispatchTrial& trial) {
  for (int microbatch = 0; microbatch < DispatchTrial::kMicrobatches; ++microbatch)
    for (const Exchange exchange : kExchanges) trial.run(exchange, microbatch);
}

/// All forwards, then all backwards, as pipelines do: what the handle says must last.
void forwards_first(DispatchTrial& trial) {
  for (const auto& pair : {std::pair{Exchange::dispatch, Exchange::combine},
                           std::pair{Exchange::combine_gradient, Exchange::dispatch_gradient}})
    for (int microbatch = 0; microbatch < DispatchTrial::kMicrobatches; ++microbatch) {
      trial.run(pair.first, microbatch);
      trial.run(pair.second, microbatch);
    }
}

/// The forward of a micro-batch beside the backward of the one before, as under dualpipev.
void two_at_once(DispatchTrial& trial) {
  const auto together = [&](Exchange forward, Exchange backward, int microbatch) {
    trial.post(forward, microbatch);
    trial.post(backward, microbatch - 1);
    trial.wait(forward, microbatch);
    trial.wait(backward, microbatch - 1);
  };
  trial.run(Exchange::dispatch, 0);
  trial.run(Exchange::combine, 0);
  for (int microbatch = 1; microbatch < DispatchTrial::kMicrobatches; ++microbatch) {
    together(Exchange::dispatch, Exchange::combine_gradient, microbatch);
    together(Exchange::combine, Exchange::dispatch_gradient, microbatch);
  }
}

/// Repeated forwards go by the handle of the first; those of a stage begin anew.
void sent_again(DispatchTrial& trial) {
  for (const Pass pass : {Pass::first, Pass::recomputation, Pass::stage_recomputation})
    for (int microbatch = 0; microbatch < DispatchTrial::kMicrobatches; ++microbatch) {
      trial.run(Exchange::dispatch, microbatch, pass);
      trial.run(Exchange::combine, microbatch, pass);
    }
  for (int microbatch = 0; microbatch < DispatchTrial::kMicrobatches; ++microbatch) {
    trial.run(Exchange::combine_gradient, microbatch);
    trial.run(Exchange::dispatch_gradient, microbatch);
  }
}

class DispatchCheck {
 public:
  DispatchCheck(const CheckRequest& request, Findings& findings)
      : request_(request),
        findings_(findings),
        world_(*request.world),
        ranks_(world_.size()),
        device_(choose_device(request.registry, request.device)),
        mesh_(parallel::make_process_mesh(world_, MeshLayout({.dp_shard = ranks_, .ep = ranks_}, ranks_),
                                          *device_)) {}

  void run() {
    check_division();
    if (findings_.wrong() > 0) return;
    check_on_paper();
    for (const DType compute : {DType::f32, DType::bf16}) {
      if (!is_wanted(compute)) continue;
      for (const DispatchCase& each : cases(ranks_)) check_case(each, compute);
    }
  }

 private:
  struct Claim {
    std::string text, wrong;
  };
  using Walk = void (*)(DispatchTrial&);

  /// [collective] A dispatcher of fp32 alone says so, which is no mistake unless bf16 was asked for.
  bool is_wanted(DType compute) {
    const bool is_asked = request_.precision != "auto";
    if (is_asked && choose_precision(*device_, request_.precision) != compute) return false;
    const std::string claim = fmt::format("exchanges in {}", name_of(compute));
    std::string why = fmt::format("device {} does not compute in it", device_->name());
    if (device_->computes_in(compute)) why = refusal(compute);
    if (!why.empty()) is_asked ? findings_.add(false, claim, why) : findings_.leave_out(claim, why);
    return why.empty();
  }

  /// [collective] What the dispatcher has against a type; empty: nothing.
  std::string refusal(DType compute) {
    std::string said;
    try {
      make()->needs(cases(ranks_).front().spec(world_.rank(), ranks_, compute));
    } catch (const Error& error) {
      said = "the dispatcher does not support it: " + error.message();
    }
    return first_text(world_, said);
  }

  Made<Dispatcher> make() {
    return request_.registry.create<Dispatcher>(
        request_.name, Host::of(request_.registry, device_.get(), nullptr, mesh_.get()), request_.keys);
  }

  /// Every expert is on one rank.
  void check_division() {
    const auto dispatcher = make();
    const DispatchCase usual = cases(ranks_).front();
    const DispatchNeeds needs = dispatcher->needs(usual.spec(world_.rank(), ranks_, DType::f32));
    CARAVAN_CHECK(
        ranks_ == 1 || needs.local_experts < usual.experts(ranks_), ConfigError,
        fmt::format("dispatch {} on {} ranks (it keeps {} of {} experts on each, so nothing travels). "
                    "Without mpirun?",
                    request_.name, ranks_, needs.local_experts, usual.experts(ranks_)));
    std::vector<std::int32_t> holders(static_cast<std::size_t>(usual.experts(ranks_)), 0);
    bool is_inside = true;
    for (std::int64_t local = 0; local < needs.local_experts; ++local) {
      const std::int64_t expert = needs.first_expert + local;
      is_inside = is_inside && expert >= 0 && expert < std::ssize(holders);
      if (is_inside) ++holders[static_cast<std::size_t>(expert)];
    }
    world_.all_reduce(TensorView(holders.data(), DType::i32, {std::ssize(holders)}), ReduceOp::sum);
    const auto wrong = std::ranges::find_if(holders, [](std::int32_t ranks) { return ranks != 1; });
    std::string seen;
    if (!is_inside) seen = "needs() names experts that there are not";
    if (wrong != holders.end() && seen.empty())
      seen = fmt::format("expert {} is on {} ranks", wrong - holders.begin(), *wrong);
    add("every expert is on one rank", seen);
  }

  /// Rank 0's, in a layer of experts: the others' would say the same.
  void check_on_paper() {
    Config dispatch = request_.keys, layer = Config::map();
    dispatch.set("name", request_.name);
    layer.override_with("dim=16");
    layer.override_with("hidden=16");
    layer.override_with(fmt::format("experts={}", DispatchCase::kExpertsOfRank * ranks_));
    layer.set("dispatch", dispatch);
    add("a dry run walks through it",
        world_.rank() == 0 ? wrong_on_paper(request_.registry, "moe", layer, {0, ranks_}) : "");
  }

  void add(const std::string& claim, const std::string& wrong) {
    const std::string first = first_text(world_, wrong);
    findings_.add(first.empty(), claim, first);
  }

  void check_case(const DispatchCase& dispatch, DType compute) {
    const auto dispatcher = make();
    const std::string what = fmt::format("{}, {}: ", dispatch.name, name_of(compute));
    const auto trial_of = [&](Walk walk, unsigned char byte) {
      DispatchTrial trial(*device_, *dispatcher, dispatch, {world_.rank(), ranks_}, compute, byte);
      walk(trial);
      trial.check_memory();
      return claims_of(trial);
    };
    constexpr unsigned char kNoNumber = 0xff, kThree = 0x40;  // every byte of 3.0 or so, and of NaN
    const std::vector<Claim> plain = trial_of(&by_turns, kNoNumber);
    if (has_no_room_ > 0)
      return findings_.leave_out(
          what + "what is exchanged",
          fmt::format("{:.0f} rows had no room by the dispatcher's keys", has_no_room_));
    for (const Claim& claim : plain) {
      if (!add_unless_wrong(what, claim)) return;
    }
    report(what + "whatever was in the memory before", trial_of(&by_turns, kThree));
    report(what + "three micro-batches in flight as one by one", trial_of(&forwards_first, kNoNumber));
    report(what + "two exchanges at once as one after the other", trial_of(&two_at_once, kNoNumber));
    report(what + "a repeated forward as the first", trial_of(&sent_again, kNoNumber));
  }

  /// [collective] False where what follows would only repeat what is wrong.
  bool add_unless_wrong(const std::string& what, const Claim& claim) {
    const int before = findings_.wrong();
    add(what + claim.text, claim.wrong);
    return findings_.wrong() == before;
  }

  void report(const std::string& claim, const std::vector<Claim>& found) {
    std::string wrong;
    for (const Claim& each : found)
      if (wrong.empty()) wrong = each.wrong;
    add(claim, wrong);
  }

  std::vector<Claim> claims_of(const DispatchTrial& trial) {
    has_no_room_ = trial.without_room();
    world_.all_reduce(TensorView(&has_no_room_, DType::f64, {1}), ReduceOp::sum);
    return {{"every row comes once, to its expert", trial.wrong(Exchange::dispatch)},
            {"results come back, times their scores, and are summed", trial.wrong(Exchange::combine)},
            {"gradients of results come to the experts", trial.wrong(Exchange::combine_gradient)},
            {"gradients of rows and scores come back", trial.wrong(Exchange::dispatch_gradient)},
            {"nothing else is written", trial.wrong_memory()}};
  }

  const CheckRequest& request_;
  Findings& findings_;
  Communicator& world_;
  int ranks_;
  Made<Device> device_;
  std::unique_ptr<Mesh> mesh_;
  double has_no_room_ = 0;  ///< rows, of all ranks, in the last trial
};

}  // namespace

void check_dispatch(const CheckRequest& request, Findings& findings) {
  DispatchCheck(request, findings).run();
}

}  // namespace caravan::jobs
