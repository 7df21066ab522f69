#include "jobs/compare/report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "caravan/printable.hpp"
#include "jobs/drawing/tone.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::ordered_json;

/// A logit by its place.
struct Place {
  std::int64_t sequence, position, token;
  float a, b;
};

Place place_of(const Compared& compared, std::int64_t at) {
  const std::int64_t length = compared.sequences.length,
                     vocab = std::ssize(compared.a.logits) / (compared.sequences.count * length),
                     row = at / vocab;
  const auto index = static_cast<std::size_t>(at);
  return {row / length, row % length, at % vocab, compared.a.logits[index], compared.b.logits[index]};
}

std::string share_text(std::int64_t part, std::int64_t whole) {
  return fmt::format("{} of {} ({:.2f} %)", part, counted(whole, "token"),
                     100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

/// "A /models/tiny (host, fp32)"
std::string side_text(const char* side, const std::string& path, const ordered_json& how) {
  std::vector<std::string> values;
  for (const auto& value : how) values.push_back(value.get<std::string>());
  return fmt::format("{} {} ({})\n", side, printable(path), fmt::join(values, ", "));
}

std::string head_text(const Compared& compared, const Comparison& result) {
  const Sequences& sequences = compared.sequences;
  const std::int64_t masked = sequences.count * sequences.length - result.tokens;
  return side_text("A", compared.options.a.path, compared.how_a) +
         side_text("B", compared.options.b.path, compared.how_b) +
         fmt::format("{} of {}{}\n", counted(sequences.count, "sequence"), counted(sequences.length, "token"),
                     masked == 0 ? "" : fmt::format("; {}, not compared", counted(masked, "masked token")));
}

std::string logits_text(const Compared& compared, const Comparison& result) {
  std::string text = "logits   the same\n";
  if (result.largest > 0) {
    const Place at = place_of(compared, result.largest_at);
    text = fmt::format("logits   largest difference {:.3g}: sequence {}, position {}, token {} ({} and {})\n",
                       result.largest, at.sequence, at.position, at.token, at.a, at.b);
  }
  if (result.not_finite_a + result.not_finite_b > 0)
    text += fmt::format("         not finite: {} of A, {} of B\n", result.not_finite_a, result.not_finite_b);
  return text;
}

/// Of layers in which all tokens took the same experts, only how many they are.
std::string routing_text(const Compared& compared, const Comparison& result) {
  if (result.routing.empty()) {
    const bool has_a = !compared.a.routers.empty(), has_b = !compared.b.routers.empty();
    if (!has_a && !has_b) return "experts  none on either side\n";
    return fmt::format("experts  not compared: {} says nothing of them\n", has_a ? "B" : "A");
  }
  std::int64_t alike = 0;
  std::string others;
  for (const Comparison::Layer& layer : result.routing) {
    if (layer.alike == result.tokens)
      ++alike;
    else
      others +=
          fmt::format("         the same in {} at {}\n", layer.name, share_text(layer.alike, result.tokens));
  }
  return fmt::format("experts  the same at every token in {} of {}\n{}", alike,
                     counted(std::ssize(result.routing), "layer"), others);
}

/// "1.2e-06 <= 0.0001"
std::string judged(double value, double tolerance) {
  return fmt::format("{:.3g} {} {:g}", value, value <= tolerance ? "<=" : ">", tolerance);
}

bool is_within(const CompareOptions& options, const Comparison& result) {
  return result.largest <= options.tolerance &&
         (!options.tolerance_kl || result.divergence <= *options.tolerance_kl);
}

std::string verdict_text(const CompareOptions& options, const Comparison& result) {
  return fmt::format(
      "{} the tolerance: logits {}{}", is_within(options, result) ? "within" : "beyond",
      judged(result.largest, options.tolerance),
      options.tolerance_kl ? fmt::format(", KL {}", judged(result.divergence, *options.tolerance_kl)) : "");
}

ordered_json routing_json(const Comparison& result) {
  ordered_json layers = ordered_json::array();
  for (const Comparison::Layer& layer : result.routing)
    layers.push_back(
        {{"layer", layer.name},
         {"same_experts", static_cast<double>(layer.alike) / static_cast<double>(result.tokens)}});
  return layers;
}

ordered_json logits_json(const Compared& compared, const Comparison& result) {
  ordered_json json{{"largest_difference", result.largest},
                    {"largest_at", nullptr},
                    {"not_finite_a", result.not_finite_a},
                    {"not_finite_b", result.not_finite_b}};
  if (result.largest == 0) return json;
  const Place at = place_of(compared, result.largest_at);
  json["largest_at"] = {
      {"sequence", at.sequence}, {"position", at.position}, {"token", at.token}, {"a", at.a}, {"b", at.b}};
  return json;
}

ordered_json side_json(const std::string& path, const ordered_json& how, double loss) {
  ordered_json json{{"path", path}};
  json.update(how);
  json["loss"] = loss;
  return json;
}

ordered_json json_of(const Compared& compared, const Comparison& result) {
  const CompareOptions& options = compared.options;
  ordered_json json{
      {"a", side_json(options.a.path, compared.how_a, compared.a.loss)},
      {"b", side_json(options.b.path, compared.how_b, compared.b.loss)},
      {"inputs", options.inputs},
      {"tokens", result.tokens},
      {"logits", logits_json(compared, result)},
      {"kl", result.divergence},
      {"top1_agreement", static_cast<double>(result.same_top) / static_cast<double>(result.tokens)},
      {"loss_difference", compared.b.loss - compared.a.loss},
      {"routing", routing_json(result)},
      {"tolerance", options.tolerance},
      {"tolerance_kl", nullptr},
      {"within", is_within(options, result)}};
  if (options.tolerance_kl) json["tolerance_kl"] = *options.tolerance_kl;
  return json;
}

}  // namespace

Report compare_report(const Compared& compared, const Comparison& result, Ink ink) {
  const bool within = is_within(compared.options, result);
  Report report;
  report.exit_code = within ? 0 : 1;
  report.json = json_of(compared, result);
  report.text = head_text(compared, result) + logits_text(compared, result) +
                fmt::format("KL(A||B) mean {:.3g}\n", result.divergence) +
                fmt::format("top-1    the same at {}\n", share_text(result.same_top, result.tokens)) +
                fmt::format("loss     {:.8f} and {:.8f}, B - A {:.3g}\n", compared.a.loss, compared.b.loss,
                            compared.b.loss - compared.a.loss) +
                routing_text(compared, result) +
                painted(verdict_text(compared.options, result), within ? Tone::good : Tone::bad, ink) + "\n";
  return report;
}

}  // namespace caravan::jobs
