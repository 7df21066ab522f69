#include "io/text/tokenizer_files.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <filesystem>
#include <string_view>

#include "caravan/check.hpp"
#include "io/files/file.hpp"
#include "io/text/readers.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

/// What a reader of a tokenizer looks into beside it.
constexpr const char* kBeside[] = {"tokenizer_config.json", "special_tokens_map.json"};

std::string sha256(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  CARAVAN_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) == 1,
                IoError, "cannot compute a SHA-256 (OpenSSL refused)");
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

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
