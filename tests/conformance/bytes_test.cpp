// The right bytes, whatever the way they are sent.
#include <random>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

namespace {

void check_whole(const Reply& reply, const std::string& content) {
  CHECK(reply.status == 200);
  CHECK(reply.header("content-length") == std::to_string(content.size()));
  CHECK((reply.body == content));  // in parentheses: 20 MB are not for the report
}

}  // namespace

TEST_CASE("every size is sent whole, first and again, by GET and by HEAD", "[preset]") {
  for (const Options& options : combinations({"body", "send"})) {
    INFO(in_words(options));
    Server server = serve(options);
    Client client = server.connect();
    for (const std::size_t bytes : sizes) {
      INFO(bytes << " bytes");
      check_whole(client.get(sized(bytes)), sized_content(bytes));
      check_whole(client.get(sized(bytes)), sized_content(bytes));
      const Reply head = client.head(sized(bytes));
      CHECK(head.status == 200);
      CHECK(head.header("content-length") == std::to_string(bytes));
      CHECK(head.body.empty());
    }
    client.close();
    wait_for_connections(server, 0);  // then it has counted all that it sent
    const nlohmann::json statistics = finish(server);
    CHECK(statistics.at("total").at("replies_by_status").at("200") == 3 * sizes.size());
  }
}

TEST_CASE("every residency check serves the same bytes") {
  for (const Options& options : combinations({"residency", "body"})) {
    INFO(in_words(options));
    const std::unique_ptr<Server> started = serve_unless_refused(options);
    if (!started) {
      CHECK((options.count("residency") != 0 && options.at("residency") != "none"));
      continue;
    }
    Client client = started->connect();
    for (const std::size_t bytes : {std::size_t{102}, std::size_t{65537}, std::size_t{1'048'576}}) {
      check_whole(client.get(sized(bytes)), sized_content(bytes));
      check_whole(client.get(sized(bytes)), sized_content(bytes));
    }
    client.close();
    finish(*started);
  }
}

TEST_CASE("a reader with a small window gets the right bytes in many pieces", "[preset]") {
  constexpr std::size_t bytes = 1'048'576;
  for (const Options& options : combinations({"body", "send"})) {
    INFO(in_words(options));
    Options small = options;
    small["send-buffer"] = "16384";
    Server server = serve(small);
    Client client = server.connect(8192);
    check_whole(client.get(sized(bytes)), sized_content(bytes));
    check_whole(client.get(sized(bytes)), sized_content(bytes));
    client.close();
    const nlohmann::json total = finish(server).at("total");
    // That the socket took less than was offered is what this case is for.
    if (options.count("send") == 0 || options.at("send") == "nonblocking") {
      CHECK(total.at("partial_sends").get<int>() + total.at("would_block_sends").get<int>() > 0);
    }
  }
}

TEST_CASE("connections that read at different paces do not get each other's bytes") {
  for (const Options& options : combinations({"body"})) {
    INFO(in_words(options));
    Options small = options;
    small["send-buffer"] = "16384";
    Server server = serve(small);
    std::mt19937 random(20070321);
    struct Download {
      Client client;
      std::size_t bytes;
      bool done = false;
    };
    std::vector<Download> downloads;
    for (int i = 0; i < 24; ++i) {
      const std::size_t bytes = sizes[random() % (sizes.size() - 1)];  // all but the largest
      downloads.push_back({server.connect(i % 2 == 0 ? 4096 : 0), bytes});
      downloads.back().client.send(request(sized(bytes)));
    }
    const std::int64_t end = now_ms() + patience_ms;
    std::size_t left = downloads.size();
    while (left > 0 && now_ms() < end) {
      for (Download& download : downloads) {
        if (download.done) continue;
        download.client.take_now(1 + random() % 20'000);
        const std::size_t head = download.client.pending().find("\r\n\r\n");
        if (head == std::string::npos || download.client.pending().size() < head + 4 + download.bytes) continue;
        check_whole(download.client.read_reply(), sized_content(download.bytes));
        download.done = true;
        --left;
      }
    }
    CHECK(left == 0);
    downloads.clear();
    finish(server);
  }
}

}  // namespace bakeoff::conformance
