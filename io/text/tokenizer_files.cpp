#include "io/text/tokenizer_files.hpp"

#include <filesystem>

#include "io/files/file.hpp"
#include "io/text/readers.hpp"
#include "io/text/sha256.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

/// What a reader of a tokenizer looks into beside it.
constexpr const char* kBeside[] = {"tokenizer_config.json", "special_tokens_map.json"};

}  // namespace

std::string tokenizer_sha256(const std::string& file) {
  return sha256(read_text(file, kMostTokenizerBytes));
}

std::string tokenizer_digest(const std::string& file) {
  return "sha256:" + tokenizer_sha256(file);
}

TokenizerFiles read_tokenizer_files(const std::string& file) {
  const std::string bytes = read_text(file, kMostTokenizerBytes);
  const bool is_json = bytes.find_first_not_of(" \t\r\n") == bytes.find('{');
  TokenizerFiles found{{}, "sha256:" + sha256(bytes)};
  found.files.emplace_back(is_json ? "tokenizer.json" : "tokenizer.model", bytes);
  for (const char* name : kBeside) {
    const fs::path beside = fs::path(file).parent_path() / name;
    if (is_json && fs::exists(beside))
      found.files.emplace_back(name, read_text(beside.string(), kMostTokenizerBytes));
  }
  return found;
}

std::string find_tokenizer_file(const std::string& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    const fs::path file = fs::path(folder) / name;
    if (fs::exists(file)) return file.string();
  }
  return "";
}

}  // namespace caravan::io
