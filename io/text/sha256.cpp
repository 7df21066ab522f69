#include "io/text/sha256.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "caravan/check.hpp"

namespace caravan::io {

std::string sha256(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  CARAVAN_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) == 1,
                IoError, "cannot compute a SHA-256 (OpenSSL refused)");
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace caravan::io
