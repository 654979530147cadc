// closed_loop ROUNDS THREADS: each thread allocates by every form of new, and gives all of it back.
#include <cstdlib>
#include <new>
#include <thread>
#include <vector>

struct alignas(128) Wide {
	char bytes[128];
};

// the compiler may leave out what nobody looks at
static void look(void *block) { asm volatile("" : : "g"(block) : "memory"); }

__attribute__((noinline)) static void allocate_and_free(long rounds)
{
	for (long i = 0; i < rounds; i++) {
		int *one = new int(7);
		char *many = new char[100 + i % 1000];
		Wide *wide = new Wide();
		char *may_fail = new (std::nothrow) char[33];
		void *sized = ::operator new(48);
		for (void *block : {(void *)one, (void *)many, (void *)wide, (void *)may_fail, sized})
			look(block);
		delete one;
		delete[] many;
		delete wide;
		delete[] may_fail;
		::operator delete(sized, 48);
	}
}

int main(int argc, char **argv)
{
	std::vector<std::thread> threads;
	for (long i = 0; i < atol(argv[2]); i++)
		threads.emplace_back(allocate_and_free, atol(argv[1]));
	for (std::thread &thread : threads)
		thread.join();
	return argc < 3;
}
