#include "jobs/generate/printer.hpp"

#include <fmt/format.h>

#include "jobs/text_streams.hpp"

namespace caravan::jobs {

Printer::Printer(bool quiet, const Tokenizer* tokenizer) : quiet_(quiet) {
  if (tokenizer) decoder_ = std::make_unique<StreamDecoder>(*tokenizer);
}

void Printer::push(std::int32_t id) {
  put(decoder_ ? decoder_->push(id) : fmt::format("{} ", id));
}

std::string Printer::finish() {
  put(decoder_ ? decoder_->finish() : "");
  return text_;
}

void Printer::put(const std::string& piece) {
  text_ += piece;
  if (!quiet_) write_standard_output(piece);
}

}  // namespace caravan::jobs
