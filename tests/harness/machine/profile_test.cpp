#include "harness/machine/profile.h"

#include "core/base/errors.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

const char* const script = R"(sped  4711 
	ffffffff82201234 _raw_spin_unlock_irqrestore ([kernel.kallsyms])
	ffffffff81d35c80 ep_poll ([kernel.kallsyms])
	ffffffff821ef691 do_syscall_64 ([kernel.kallsyms])
	           f8350 epoll_wait (/usr/lib/x86_64-linux-gnu/libc.so.6)

sped  4711 
	ffffffff81000001 list_add ([kernel.kallsyms])
	ffffffff81000002 tcp_sendmsg_locked ([kernel.kallsyms])

sped  4711 
	           12345 bakeoff::Connection::receive(int, char const*) (/opt/bin/sped)

sped  4711 
	ffffffff81000003 nobody_knows ([kernel.kallsyms])
)";

SymbolTable table() {
  return SymbolTable::parse(
      "skid = [\"_raw_spin_*\", \"do_syscall_64\"]\n[[category]]\nname = \"event mechanism\"\nsymbols = [\"ep_*\"]\n"
      "[[category]]\nname = \"networking\"\nsymbols = [\"tcp_*\"]\n[[category]]\nname = \"application\"\nuser = true\n",
      "symbols.toml");
}

}  // namespace

TEST_CASE("perf's stacks are read, innermost frame first") {
  const auto stacks = parse_perf_script(script);
  REQUIRE(stacks.size() == 4);
  REQUIRE(stacks[0].size() == 4);
  CHECK(stacks[0][0].symbol == "_raw_spin_unlock_irqrestore");
  CHECK(stacks[0][0].kernel);
  CHECK_FALSE(stacks[0][3].kernel);
  CHECK(stacks[2][0].symbol == "bakeoff::Connection::receive(int, char const*)");
  CHECK(parse_perf_script("").empty());
}

TEST_CASE("skid and helpers are charged to their callers") {
  const auto stacks = parse_perf_script(script);
  CHECK(table().category_of(stacks[0]) == "event mechanism");
  CHECK(table().charged_symbol(stacks[0]) == "ep_poll");
  CHECK(table().category_of(stacks[1]) == "networking");
  CHECK(table().category_of(stacks[2]) == "application");
  CHECK(table().category_of(stacks[3]) == "other");
  CHECK(table().charged_symbol(stacks[3]) == "nobody_knows");
  const auto shares = breakdown(table(), stacks).at("shares");
  CHECK(shares ==
        nlohmann::json{{"event mechanism", 0.25}, {"networking", 0.25}, {"application", 0.25}, {"other", 0.25}});
}

TEST_CASE("the shipped table knows where the usual symbols belong") {
  const SymbolTable shipped = SymbolTable::load();
  const auto of = [&](const char* symbol, bool kernel = true) { return shipped.category_of({{symbol, kernel}}); };
  CHECK(of("tcp_sendmsg") == "networking");
  CHECK(of("rep_movs_alternative") == "data copying");
  CHECK(of("do_epoll_wait") == "event mechanism");
  CHECK(of("do_select") == "event mechanism");
  CHECK(of("__schedule") == "scheduling");
  CHECK(of("futex_wait") == "thread overhead");
  CHECK(of("filemap_get_pages") == "file system");
  CHECK(of("kmem_cache_alloc") == "memory");
  CHECK(of("bakeoff::Connection::advance()", false) == "application");
  CHECK(shipped.categories().size() == 9);
}

TEST_CASE("a table of symbols is read strictly") {
  CHECK_THROWS_AS(SymbolTable::parse("[[category]]\nname = \"x\"\n", "s.toml"), UsageError);
  CHECK_THROWS_AS(SymbolTable::parse("colour = 1\n", "s.toml"), UsageError);
}
