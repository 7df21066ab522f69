#include "core/plugin/sha256.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <memory>

#include "caravan/check.hpp"
#include "caravan/open_file.hpp"

namespace caravan {

std::string sha256_of_file(const std::string& path) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  bool good = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  read_pieces(path, [&](std::string_view piece) {
    good = good && EVP_DigestUpdate(context.get(), piece.data(), piece.size()) == 1;
  });
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  good = good && EVP_DigestFinal_ex(context.get(), digest.data(), &size) == 1;
  CARAVAN_CHECK(good, IoError, fmt::format("cannot compute the SHA-256 of {}", path));
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace caravan
