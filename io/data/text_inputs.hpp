#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "io/data/documents.hpp"

namespace caravan::io {

/// The one way in which text comes to tokenizers: inputs as `expand_inputs` knows them, read as documents.
/// Says in the log which files were found and what was changed in them. [uniform over ranks]
class TextInputs {
 public:
  /// IoError and ConfigError as `expand_inputs`.
  TextInputs(const std::vector<std::string>& inputs, DocumentFormat format);

  const std::vector<std::string>& files() const noexcept { return files_; }
  /// As for_each_document, over all files in order.
  void for_each(const std::function<void(std::string_view)>& take) const;

 private:
  std::vector<std::string> files_;
  DocumentFormat format_;
};

}  // namespace caravan::io
