#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "caravan/error.hpp"
#include "caravan/random.hpp"
#include "jobs/check/check_component.hpp"
#include "jobs/check/layer_rig.hpp"
#include "jobs/check/paper_trial.hpp"

namespace caravan::jobs {
namespace {

constexpr int kMicrobatches = 3;
constexpr double kRelative = 1e-2;  // of the gradient's length; a wrong factor or sign is far beyond
constexpr double kRounding = 2e-6;  // of a loss around 3 made of 24-bit numbers

double length(std::span<const float> of) {
  double squares = 0;
  for (const float value : of) squares += static_cast<double>(value) * value;
  return std::sqrt(squares);
}

double distance(std::span<const float> a, std::span<const float> b) {
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    squares += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  return std::sqrt(squares);
}

class LayerCheck {
 public:
  LayerCheck(const CheckRequest& request, Findings& findings)
      : registry_(request.registry),
        name_(request.name),
        precision_(request.precision),
        keys_(request.keys),
        findings_(findings) {
    if (!keys_.has("dim")) keys_.set("dim", "16");
  }

  void run() {
    LayerRig rig(registry_, "reference", name_, keys_);
    const std::string on_paper = wrong_on_paper(registry_, name_, keys_);
    findings_.add(on_paper.empty(), "a dry run walks through it", on_paper);
    check_slopes(rig, RigBatches(1, 2, 7, LayerRig::kVocabulary));
    for (const auto& [sequences, tokens] : {std::pair{1, 1}, std::pair{2, 7}, std::pair{3, 16}})
      check_walks(rig, RigBatches(kMicrobatches, sequences, tokens, LayerRig::kVocabulary));
    check_sum(rig);
    check_fast_device(rig);
    check_bf16(rig);
  }

 private:
  std::span<const float> part(const LayerRig::Result& result, const LayerRig::Place& place) const {
    return std::span(result.gradients).subspan(place.begin, place.end - place.begin);
  }

  /// Forward alone, with the parameter moved along a direction.
  double loss_at(LayerRig& rig, const RigBatches& batches, const LayerRig::Place& place,
                 std::span<const double> along, double by) {
    const std::vector<float> start = rig.weights(place);
    std::vector<float> moved = start;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] = static_cast<float>(start[i] + by * along[i]);
    rig.set_weights(place, moved);
    const double loss = rig.run({{{{0, ActionKind::forward, 0}, {}}}}, batches).loss;
    rig.set_weights(place, start);
    return loss;
  }

  static std::vector<float> random_direction(const LayerRig::Place& place) {
    std::vector<float> random(place.end - place.begin);
    for (std::size_t i = 0; i < random.size(); ++i) random[i] = normal({5, hash_name(place.name)}, 2, i);
    return random;
  }

  /// The gradient's own direction, where the slope is largest, mixed with a random one of the same length.
  static std::vector<double> direction(const LayerRig::Place& place, std::span<const float> gradient) {
    const std::vector<float> random = random_direction(place);
    const double size = length(gradient), random_size = length(random);
    std::vector<double> along(gradient.size());
    for (std::size_t i = 0; i < along.size(); ++i) along[i] = random[i] / random_size + gradient[i] / size;
    return along;
  }

  /// A gradient of zero is right where the loss does not change, as with scores that add up to one.
  void check_flat(LayerRig& rig, const RigBatches& batches, const LayerRig::Place& place,
                  const std::string& claim) {
    constexpr double kStep = 8e-3;
    const std::vector<float> random = random_direction(place);
    const std::vector<double> along(random.begin(), random.end());
    const double rises =
        (loss_at(rig, batches, place, along, kStep) - loss_at(rig, batches, place, along, -kStep)) /
        (2 * kStep);
    findings_.add(std::abs(rises) <= kRounding / kStep, claim,
                  fmt::format("it is zero on a line on which the loss rises by {:.3g}", rises));
  }

  /// Five points. Smaller steps where experts or other choices make the loss jump.
  void check_slope(LayerRig& rig, const RigBatches& batches, const LayerRig::Place& place,
                   std::span<const float> gradient) {
    const std::string claim = fmt::format("gradient of {} is the slope of the loss", place.name);
    const double size = length(gradient);
    if (size == 0) return check_flat(rig, batches, place, claim);
    const std::vector<double> along = direction(place, gradient);
    double expected = 0;
    for (std::size_t i = 0; i < along.size(); ++i) expected += gradient[i] * along[i];
    std::vector<double> seen;
    for (double h = 8e-3; kRounding / h < 0.1 * size; h /= 2) {
      const auto at = [&](double by) { return loss_at(rig, batches, place, along, by); };
      seen.push_back((8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h));
      if (std::abs(seen.back() - expected) <= kRelative * size + kRounding / h)
        return findings_.add(true, claim);
    }
    if (seen.size() < 2)
      return findings_.leave_out(claim, fmt::format("its length of {:.1e} is rounding of the loss", size));
    const auto [low, high] = std::ranges::minmax(seen);
    if (high - low > 0.2 * size)
      return findings_.leave_out(claim, "the loss jumps along it, as it does where experts are chosen");
    findings_.add(
        false, claim,
        fmt::format("it says {:.5g} along a line on which the loss rises by {:.5g}", expected, seen.back()));
  }

  /// The embedding's gradient comes through the layers' backward_input alone, the others through
  /// backward_weight.
  void check_slopes(LayerRig& rig, const RigBatches& batches) {
    const LayerRig::Result whole = rig.run(one_by_one(1, StashMode::fused), batches);
    for (const LayerRig::Place& place : rig.places()) {
      if (place.name.starts_with("layers.1") || place.name.starts_with("norm") ||
          place.name.starts_with("output"))
        continue;
      check_slope(rig, batches, place, part(whole, place));
    }
  }

  void same(LayerRig& rig, const LayerRig::Result& a, const LayerRig::Result& b, const std::string& claim) {
    std::string evidence;
    if (a.loss != b.loss) evidence = fmt::format("loss {:.9g}, not {:.9g}", b.loss, a.loss);
    for (const LayerRig::Place& place : rig.places())
      if (evidence.empty() && !std::ranges::equal(part(a, place), part(b, place)))
        evidence = fmt::format("the gradient of {} is another, by {:.2g} of its length", place.name,
                               distance(part(a, place), part(b, place)) / length(part(a, place)));
    findings_.add(evidence.empty(), claim, evidence);
  }

  /// To the bit: the operators are the same, only when and where differs.
  void check_walks(LayerRig& rig, const RigBatches& batches) {
    const std::string shape = fmt::format("[{} x {}] ", batches.sequences, batches.length);
    const LayerRig::Result fused = rig.run(one_by_one(kMicrobatches, StashMode::fused), batches);
    same(rig, fused, rig.run(one_by_one(kMicrobatches, StashMode::fused), batches),
         shape + "the same step twice");
    same(rig, fused, rig.run(one_by_one(kMicrobatches, StashMode::split), batches),
         shape + "I and W apart as at once");
    same(rig, fused, rig.run(all_in_flight(kMicrobatches), batches),
         shape + "micro-batches in flight as one by one: what is kept lives long enough");
    RigWalk repeated = all_in_flight(kMicrobatches);
    repeated.recomputes = true;
    same(rig, fused, rig.run(repeated, batches), shape + "a repeated forward as the first");
  }

  /// W adds to what is there: two micro-batches are the sum of each alone.
  void check_sum(LayerRig& rig) {
    const RigBatches both(2, 2, 5, LayerRig::kVocabulary);
    LayerRig::Result sum = rig.run(one_by_one(2, StashMode::fused), both);
    std::vector<float> apart(sum.gradients.size());
    for (int batch = 0; batch < 2; ++batch) {
      RigBatches one = both;
      one.tokens = {both.tokens[static_cast<std::size_t>(batch)]};
      one.labels = {both.labels[static_cast<std::size_t>(batch)]};
      one.first = batch;
      const LayerRig::Result alone = rig.run(one_by_one(1, StashMode::fused), one);
      for (std::size_t i = 0; i < apart.size(); ++i) apart[i] += alone.gradients[i] / 2;
    }
    for (const LayerRig::Place& place : rig.places()) {
      if (!place.name.starts_with("layers.")) continue;
      const double off =
          distance(part(sum, place), std::span(apart).subspan(place.begin, place.end - place.begin)) /
          std::max(length(part(sum, place)), 1e-30);
      findings_.add(
          off < 1e-4, fmt::format("W adds to the gradient of {}", place.name),
          fmt::format("two micro-batches are not the sum of each alone, by {:.2g} of its length", off));
    }
  }

  void check_fast_device(LayerRig& rig) {
    const RigBatches batches(2, 3, 16, LayerRig::kVocabulary);
    const auto known = registry_.names("device");
    if (std::ranges::find(known, "host") == known.end())
      return findings_.leave_out("device host computes as the reference", "this build has no device host");
    LayerRig fast(registry_, "host", name_, keys_);
    compare(rig.run(one_by_one(2, StashMode::fused), batches),
            fast.run(one_by_one(2, StashMode::fused), batches), 1e-4,
            "device host computes as the reference");
  }

  void refuses(const char* claim, const Error& refusal) {
    const std::string said = "the layer does not support it: " + refusal.message();
    precision_ == "bf16" ? findings_.add(false, claim, said) : findings_.leave_out(claim, said);
  }

  /// A layer of fp32 alone says so, which is no mistake unless bf16 was asked for; other trouble is.
  void check_bf16(LayerRig& rig) {
    constexpr const char* kClaim = "bf16 is f32, rounded";
    if (precision_ == "fp32") return findings_.leave_out(kClaim, "--precision fp32");
    const RigBatches batches(2, 3, 16, LayerRig::kVocabulary);
    const RigWalk walk = one_by_one(2, StashMode::fused);
    LayerRig::Result rounded;
    try {
      rounded = LayerRig(registry_, "reference", name_, keys_, DType::bf16).run(walk, batches);
    } catch (const ConfigError& refusal) {
      return refuses(kClaim, refusal);
    } catch (const DeviceError& refusal) {
      return refuses(kClaim, refusal);
    }
    compare(rig.run(walk, batches), rounded, 0.1, kClaim);
  }

  void compare(const LayerRig::Result& exact, const LayerRig::Result& other, double tolerance,
               const char* claim) {
    const double off = distance(exact.gradients, other.gradients) / length(exact.gradients);
    const double loss = std::abs(other.loss - exact.loss) / std::abs(exact.loss);
    findings_.add(off < tolerance && loss < tolerance, claim,
                  fmt::format("the loss is off by {:.2g}, gradients by {:.2g} of their length (at most {})",
                              loss, off, tolerance));
  }

  Registry& registry_;
  std::string name_, precision_;
  Config keys_;
  Findings& findings_;
};

}  // namespace

void check_layer(const CheckRequest& request, Findings& findings) {
  LayerCheck(request, findings).run();
}

}  // namespace caravan::jobs
