#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "caravan/tokenizer.hpp"

namespace caravan::jobs {

/// Prints what is generated as it comes, unless it is to be quiet; ids where there is no tokenizer.
class Printer {
 public:
  /// Borrows `tokenizer`, which may be null.
  Printer(bool quiet, const Tokenizer* tokenizer);
  void push(std::int32_t id);
  /// The whole text.
  std::string finish();

 private:
  void put(const std::string& piece);

  bool quiet_;
  std::string text_;
  std::unique_ptr<StreamDecoder> decoder_;
};

}  // namespace caravan::jobs
