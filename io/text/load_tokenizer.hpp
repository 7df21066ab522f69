#pragma once

#include <memory>
#include <string>

#include "caravan/tokenizer.hpp"

namespace caravan::io {

/// Reads a tokenizer of any known format; the content tells which. A folder stands for the tokenizer.json, or
/// else the tokenizer.model, inside. IoError when the file is missing, damaged or of no known format.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path);

/// The file that `path` stands for: itself, or what is in the folder.
std::string tokenizer_file(const std::string& path);

}  // namespace caravan::io
