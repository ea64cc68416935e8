#include "results/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <memory>

#include "core/base/check.h"
#include "core/base/untrusted.h"

namespace bakeoff {
namespace {

class Digest {
 public:
  Digest() { BAKEOFF_CHECK(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1); }
  void add(std::string_view bytes) { BAKEOFF_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1); }
  std::string digits() {
    std::array<unsigned char, 32> hash;
    BAKEOFF_CHECK(EVP_DigestFinal_ex(context_.get(), hash.data(), nullptr) == 1);
    std::string text;
    for (const unsigned char byte : hash) (text += "0123456789abcdef"[byte >> 4]) += "0123456789abcdef"[byte & 15];
    return text;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_{EVP_MD_CTX_new()};
};

}  // namespace

std::string sha256(std::string_view bytes) {
  Digest digest;
  digest.add(bytes);
  return digest.digits();
}

std::string sha256_of_file(const std::filesystem::path& file) {
  UntrustedFile in(file);
  Digest digest;
  std::array<char, 64 << 10> piece;
  while (const std::size_t got = in.read(piece)) digest.add({piece.data(), got});
  return digest.digits();
}

}  // namespace bakeoff
