// Prints the page of two made-up traces, for the tests that open it in a browser:
//   sample-timeline NAME   the first server is called NAME
#include <iostream>
#include <string>

#include "results/timeline/sentences.h"
#include "results/timeline/timeline_page.h"
#include "tests/results/timeline/made_trace.h"

int main(int argc, char** argv) {
  using namespace bakeoff;
  std::vector<TracedServer> servers;
  for (test::MadeTrace made : {test::made_sped(), test::made_amped()}) {
    made.record().server = servers.empty() ? argc > 1 ? argv[1] : "sped" : "amped";
    TracedServer server{made.timeline(), {}, ""};
    server.sentences = sentences_of(server.timeline);
    servers.push_back(std::move(server));
  }
  std::cout << timeline_page("Made-up traces", "What is to be seen.", servers);
}
