#include "core/base/patient_output.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>

#include "tests/catch.h"

using bakeoff::PatientOutput;

namespace {

struct Ends {
  explicit Ends(bool sockets) {
    std::array<int, 2> ends{};
    const int made =
        sockets ? ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) : ::pipe2(ends.data(), O_CLOEXEC);
    REQUIRE(made == 0);
    reader = ends[0];
    writer = ends[1];
  }
  ~Ends() {
    if (reader >= 0) ::close(reader);
    ::close(writer);
  }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;
  int reader;
  int writer;
};

}  // namespace

TEST_CASE("a reader gets all of a long output") {
  const Ends ends(GENERATE(false, true));
  std::string text;
  while (text.size() < 1'000'000) text += "line " + std::to_string(text.size()) + "\n";
  std::string got;
  std::thread reader([&] {
    std::array<char, 1000> piece;
    while (got.size() < text.size()) {
      const ssize_t n = ::read(ends.reader, piece.data(), piece.size());
      if (n <= 0) return;
      got.append(piece.data(), static_cast<std::size_t>(n));
    }
  });
  PatientOutput output(ends.writer, 20'000);
  output.write(std::string_view(text).substr(0, 10));
  output.write(std::string_view(text).substr(10));
  reader.join();
  CHECK(output.complete());
  CHECK(got == text);
}

TEST_CASE("a reader that takes nothing is given up") {
  const Ends ends(GENERATE(false, true));
  PatientOutput output(ends.writer, 20);
  output.write(std::string(10'000'000, 'x'));
  CHECK_FALSE(output.complete());
  output.write("more");  // at once
  CHECK_FALSE(output.complete());
}
