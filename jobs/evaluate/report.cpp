#include "jobs/evaluate/report.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "caravan/printable.hpp"
#include "jobs/inspect/table.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::ordered_json;

/// What follows from sums; NaN where nothing was predicted, or no byte is known.
struct Figures {
  double loss, perplexity, bits_per_byte;
};

Figures figures_of(double loss_sum, double tokens, double bytes) {
  const double none = std::nan(""), loss = tokens > 0 ? loss_sum / tokens : none;
  return {loss, std::exp(loss), bytes > 0 ? loss_sum / std::numbers::ln2 / bytes : none};
}

/// Numbers that are not finite become null.
void add(const Figures& figures, bool knows_bytes, double bytes, ordered_json& object) {
  object["loss"] = figures.loss;
  object["perplexity"] = figures.perplexity;
  object["bytes"] = knows_bytes ? ordered_json(static_cast<std::int64_t>(bytes)) : ordered_json();
  object["bits_per_byte"] = figures.bits_per_byte;
}

ordered_json json_of(const EvaluateOptions& options, const Evaluation& found, const Figures& figures) {
  ordered_json json{
      {"model", options.model},           {"data", options.data.inputs},
      {"device", found.device},           {"precision", found.precision},
      {"layout", found.layout},           {"sequences", found.sequences},
      {"sequence_length", found.length},  {"tokens", static_cast<std::int64_t>(found.total.tokens)},
      {"tokens_left_out", found.left_out}};
  add(figures, found.knows_bytes, found.total.bytes, json);
  json["seconds"] = found.seconds;
  json["tokens_per_s"] = found.total.tokens / std::max(found.seconds, 1e-9);
  if (!options.per_document) return json;
  json["documents"] = ordered_json::array();
  for (const Evaluation::Document& document : found.documents) {
    ordered_json line{{"tokens", document.tokens},
                      {"predicted", static_cast<std::int64_t>(document.predicted)}};
    add(figures_of(document.loss, document.predicted, document.bytes), found.knows_bytes, document.bytes,
        line);
    json["documents"].push_back(std::move(line));
  }
  return json;
}

std::string number(double value, int digits) {
  return std::isnan(value) ? "-" : fmt::format("{:.{}f}", value, digits);
}

std::string table_of(const Evaluation& found, Ink ink) {
  Table table({"document", "tokens", "loss", "perplexity", found.knows_bytes ? "bits/byte" : ""});
  for (std::size_t at = 0; at < found.documents.size(); ++at) {
    const Evaluation::Document& document = found.documents[at];
    const Figures figures = figures_of(document.loss, document.predicted, document.bytes);
    table.add({fmt::format("{}", at), fmt::format("{}", document.tokens), number(figures.loss, 6),
               std::isnan(figures.perplexity) ? "-" : fmt::format("{:.6g}", figures.perplexity),
               found.knows_bytes ? number(figures.bits_per_byte, 6) : ""});
  }
  return "\n" + table.text(ink);
}

std::string text_of(const EvaluateOptions& options, const Evaluation& found, const Figures& figures,
                    Ink ink) {
  const std::string layout = found.layout.empty() ? "" : ", " + found.layout;
  std::string text = fmt::format("model      {} ({}, {}{})\n", printable(options.model), found.device,
                                 found.precision, layout);
  text +=
      fmt::format("measured   {} in {} of {}{}\n",
                  counted(static_cast<std::int64_t>(found.total.tokens), "predicted token"),
                  counted(found.sequences, "sequence"), counted(found.length, "token"),
                  found.left_out > 0 ? fmt::format("; {} in none", counted(found.left_out, "token")) : "");
  text += fmt::format("loss       {:.8f} nats a token\n", figures.loss);
  text += fmt::format("perplexity {:.8g}\n", figures.perplexity);
  if (!std::isnan(figures.bits_per_byte))
    text += fmt::format("bits/byte  {:.8f} over {:.0f} bytes\n", figures.bits_per_byte, found.total.bytes);
  return options.per_document ? text + table_of(found, ink) : text;
}

}  // namespace

Report report_of(const EvaluateOptions& options, const Evaluation& found, Ink ink) {
  const Figures figures = figures_of(found.total.loss, found.total.tokens, found.total.bytes);
  return {text_of(options, found, figures, ink), json_of(options, found, figures), "", 0};
}

}  // namespace caravan::jobs
