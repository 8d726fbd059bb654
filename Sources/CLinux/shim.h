#pragma once
/* Calls of the C library that the importer does not see, because their headers hide them behind a feature macro. The
   prototypes are those of the manual pages for 64-bit Linux. */
int fallocate(int descriptor, int mode, long offset, long length);
